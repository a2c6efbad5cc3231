import Database from "better-sqlite3";
import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Status } from "../../src/operations/read-status.ts";
import { createInstallation, type Installation } from "../support/daemon.ts";
import { startRedis } from "../support/redis.ts";
import { execute } from "../support/sqlite.ts";
import { waitUntil } from "../support/wait-until.ts";

/** An application with a database and notes: it runs while there is a file `running`, and is as well as the files beside it say. */
const createConfig = (dir: string): string => `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  memory: { kind: sqlite, path: ${dir}/memory.db }
  notes: { kind: files, include: ["${dir}/notes.txt"] }
notify:
  ops: { kind: command, command: [sh, -c, "cat >> ${dir}/told; echo >> ${dir}/told"] }
jobs:
  nightly:
    datastores: [memory, notes]
    destination: local
    notify: [ops]
    retry: { attempts: 1 }
    restore:
      stop: { shell: "rm -f ${dir}/running; ! test -e ${dir}/no-stop" }
      start: { shell: "! test -e ${dir}/no-start && touch ${dir}/running" }
      check:
        - { shell: "cat ${dir}/notes.txt; ! test -e ${dir}/unwell", contains: note, retryFor: 0s }
        - { sql: "SELECT count(*) FROM t", datastore: memory, equals: 1, retryFor: 0s }
`;

interface Application extends Installation {
  path(name: string): string;
  read(): string;
}

async function prepare(t: TestContext): Promise<Application> {
  const installation = await createInstallation({
    config: (dir) => {
      execute(join(dir, "memory.db"), "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('first')");
      writeFileSync(join(dir, "notes.txt"), "old note");
      writeFileSync(join(dir, "running"), "");
      return createConfig(dir);
    },
    init: ["local"],
  });
  t.after(() => installation[Symbol.asyncDispose]());
  await installation.start();
  const { status, stderr } = await installation.holdfast(["backup", "nightly"]);
  assert.equal(status, 0, stderr);
  const path = (name: string): string => join(installation.dir, name);
  writeFileSync(path("notes.txt"), "new note");
  const read = (): string => {
    using database = openReader(path("memory.db"));
    return `${readFileSync(path("notes.txt"), "utf8")}, ${String(database.prepare("SELECT count(*) FROM t").pluck().get())}`;
  };
  return { ...installation, path, read };
}

function openReader(path: string): Database.Database & Disposable {
  const database = new Database(path, { readonly: true });
  return Object.assign(database, { [Symbol.dispose]: () => void database.close() });
}

const restoreArgs = ["restore", "latest", "--job", "nightly", "--yes"];

test("D11 P9 G6 an application that does not start: exit status 3, the data stays, the remedy is told, undo works, and the same of undo", async (t) => {
  const app = await prepare(t);
  writeFileSync(app.path("no-start"), "");
  const { status, stdout } = await app.holdfast(restoreArgs);
  assert.equal(status, 3, stdout);
  assert.match(
    stdout,
    /^partial: memory, notes restored from \S+ and verified in .*the application could not be started: The start command/,
  );
  assert.match(stdout, /start it by hand: \/bin\/sh -c .*touch.*; `holdfast undo` brings back what was there before/);
  assert.equal(app.read(), "old note, 1");
  assert.match((await app.holdfast(["runs"])).stdout, /restore.*partial/);
  await waitUntil("the notification", () => existsSync(app.path("told")) && readFileSync(app.path("told"), "utf8").includes("partial"));
  const undone = await app.json<{ state: string; details: { unstarted: string } }>(["undo", "--yes"], 3);
  assert.equal(undone.state, "partial");
  assert.match(undone.details.unstarted, /start command/);
  assert.equal(app.read(), "new note, 1");
  rmSync(app.path("no-start"));
  assert.equal((await app.holdfast(restoreArgs)).status, 0);
  assert.equal(app.read(), "old note, 1");
  assert.ok(existsSync(app.path("running")));
});

test("D5 G6 a stop that fails: nothing was touched, and the application is started again", async (t) => {
  const app = await prepare(t);
  writeFileSync(app.path("no-stop"), "");
  const { status, stderr } = await app.holdfast(restoreArgs);
  assert.equal(status, 1);
  assert.match(stderr, /the restore did not begin, nothing was touched: The stop command/);
  assert.equal(app.read(), "new note, 1");
  assert.ok(existsSync(app.path("running")));
});

test("A14 D11 G6 a check that fails, by output or by SQL: rolled back; kept by --keep, of restore, undo and offline restore", async (t) => {
  const app = await prepare(t);
  writeFileSync(app.path("unwell"), "");
  const refused = await app.holdfast(restoreArgs);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /the data is as it was: The health check/);
  assert.equal(app.read(), "new note, 1");
  const kept = await app.holdfast([...restoreArgs, "--keep"]);
  assert.equal(kept.status, 3, kept.stderr);
  assert.match(kept.stdout, /the application is not well, and its data is kept: The health check .*; `holdfast undo` brings back/);
  assert.equal(app.read(), "old note, 1");
  assert.equal((await app.holdfast(["undo", "--yes"])).status, 1);
  assert.equal(app.read(), "old note, 1");
  assert.equal((await app.holdfast(["undo", "--yes", "--keep"])).status, 3);
  assert.equal(app.read(), "new note, 1");
  rmSync(app.path("unwell"));
  await app.writeConfig(createConfig(app.dir).replace("equals: 1", "equals: 2"));
  assert.equal((await app.holdfast(["reload"])).status, 0);
  const byQuery = await app.holdfast(restoreArgs);
  assert.equal(byQuery.status, 1);
  assert.match(byQuery.stderr, /SELECT count\(\*\) FROM t \(of memory: 2\) failed: it gave "1" instead of 2/);
  assert.equal(app.read(), "new note, 1");
  const offline = ["restore", "latest", "--job", "nightly", "--offline", app.path("backups"), "--save-to", app.path("saved"), "--yes"];
  assert.equal((await app.holdfast(offline)).status, 1);
  assert.equal(app.read(), "new note, 1");
  const keptOffline = await app.holdfast([...offline, "--keep"]);
  assert.equal(keptOffline.status, 3, keptOffline.stderr);
  assert.match(keptOffline.stdout, /warning: the application is not well, and its data is kept: .*instead of 2/);
  assert.equal(app.read(), "old note, 1");
});

test("W6 each datastore's phases on a pipe, and a restore that goes on in status with its phase and its datastores", async (t) => {
  const app = await prepare(t);
  const slow = createConfig(app.dir).replace(
    "      check:\n",
    `      check:\n        - { shell: "touch ${app.dir}/checking; while ! test -e ${app.dir}/go; do sleep 0.05; done", timeout: 60s }\n`,
  );
  await app.writeConfig(slow);
  assert.equal((await app.holdfast(["reload"])).status, 0);
  const restoring = app.holdfast(restoreArgs);
  await waitUntil("the check", () => existsSync(app.path("checking")));
  const { restores, tasks, state } = await app.json<Status>(["status"]);
  const [restore] = restores;
  assert.deepEqual([restore?.state, restore?.phase, restore?.application, state], ["running", "started", "started", "ok"]);
  assert.deepEqual(
    restore?.datastores,
    ["memory", "notes"].map((datastore) => ({ datastore, phase: "swapped", swapped: "yes" })),
  );
  assert.ok(restore.preRestore !== null && restore.problem === null);
  assert.deepEqual(
    tasks[0]?.progress?.datastores.map(({ datastore, phase }) => `${datastore} ${phase}`),
    ["memory swapped", "notes swapped"],
  );
  const shown = (await app.holdfast(["status"])).stdout;
  assert.match(shown, /^Restore \S+ of \S+, job nightly$/m);
  assert.match(shown, /^ {2}memory +swapped$/m);
  writeFileSync(app.path("go"), "");
  const { status, stderr } = await restoring;
  assert.equal(status, 0, stderr);
  for (const line of ["swapped memory", "swapped notes", "checking the application"]) assert.match(stderr, new RegExp(`^${line}$`, "m"));
  assert.deepEqual((await app.json<Status>(["status"])).restores, []);
});

test("F59 G6 G7 a roll-back that could not be done is shown loudly, told once, and done when what was in the way has gone", async (t) => {
  const server = await startRedis(t, { config: ["save 3600 1"] });
  server.call("SET", "backed-up", "1");
  const installation = await createInstallation({
    config: (dir) => `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  cache: { kind: redis, socket: ${server.socket}, rdbPath: ${server.rdb}, waitFor: 0s }
notify:
  ops: { kind: command, command: [sh, -c, "cat >> ${dir}/told; echo >> ${dir}/told"] }
jobs:
  nightly:
    datastores: [cache]
    destination: local
    notify: [ops]
    retry: { attempts: 1 }
    restore: { check: { shell: "touch ${dir}/checking; exec sleep 100", timeout: 100s } }
`,
    init: ["local"],
  });
  t.after(() => installation[Symbol.asyncDispose]());
  const first = await installation.start();
  assert.equal((await installation.holdfast(["backup", "nightly"])).status, 0);
  server.call("SET", "former", "1");
  await server.stop("shutdown");
  const restoring = installation.holdfast(["restore", "latest", "--job", "nightly", "--yes", "--unsavable=raw"]).catch(() => undefined);
  await waitUntil("the check of the restored data", () => existsSync(join(installation.dir, "checking")));
  await first.kill();
  await restoring;
  await server.start();
  const told = (): readonly string[] => {
    const path = join(installation.dir, "told");
    return existsSync(path)
      ? readFileSync(path, "utf8")
          .split("\n")
          .filter((line) => line.includes("not finished"))
      : [];
  };
  {
    await using _daemon = await installation.start();
    const status = await installation.json<Status>(["status"]);
    const [restore] = status.restores;
    assert.deepEqual([status.state, restore?.state, restore?.phase], ["failed", "stuck", "swapped"]);
    assert.deepEqual(restore?.datastores, [{ datastore: "cache", phase: "swapped", swapped: "yes" }]);
    assert.match(restore.problem ?? "", /was started meanwhile/);
    assert.ok(
      restore.places.some((place) => place.includes("former")),
      restore.places.join(" "),
    );
    assert.ok(existsSync(restore.journal));
    const shown = (await installation.holdfast(["status"])).stdout;
    assert.match(shown, /^RESTORE \S+ of \S+, job nightly IS NOT FINISHED$/m);
    assert.match(shown, /next +Holdfast rolls it back by itself, next at .*; at once by `holdfast reload`/);
    assert.match(shown, /next +Stop the server/);
    const check = await installation.holdfast(["status", "--check"]);
    assert.equal(check.status, 2);
    assert.match(check.stdout, /^FAILED: .*is not finished: both copies of the data are kept; it came as far as "swapped"/);
    assert.match((await installation.holdfast(["doctor"])).stdout, /is not finished: both copies of the data are kept/);
    // It is tried again, and fails again: the server still runs.
    assert.equal((await installation.holdfast(["reload"])).status, 0);
    await waitUntil("the notification", () => told().length > 0);
  }
  await using daemon = await installation.start();
  await server.stop("shutdown");
  assert.equal((await installation.holdfast(["reload"])).status, 0);
  await daemon.waitForLog(/rolled back after an interruption/);
  await server.start();
  assert.equal(server.call("GET", "former"), "1");
  const { restores, state } = await installation.json<Status>(["status"]);
  assert.deepEqual([restores, state], [[], "ok"]);
  await waitUntil("the good news", () => readFileSync(join(installation.dir, "told"), "utf8").includes("is finished"));
  assert.equal(told().length, 1);
});
