import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Status } from "../../src/operations/read-status.ts";
import { startDaemon, type StartedDaemon } from "../support/daemon.ts";
import { waitUntil } from "../support/wait-until.ts";

const createConfig = (dir: string): string => `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  notes: { kind: files, root: ${dir}/notes }
jobs:
  daily:
    datastores: [notes]
    destination: local
    retention: { keepLast: 1 }
    retry: { attempts: 1 }
`;

test(
  "W11 another backup directory for one call: nothing is written where nobody has made a destination",
  { timeout: 300_000 },
  async () => {
    await using daemon = await startDaemon({ config: createConfig, init: ["local"] });
    mkdirSync(join(daemon.dir, "notes"));
    writeFileSync(join(daemon.dir, "notes/a.txt"), "one");
    const stick = join(daemon.dir, "stick");
    const backUp = (...args: readonly string[]) => daemon.holdfast(["backup", "daily", "--destination", ...args]);

    const missing = await backUp(stick);
    assert.equal(missing.status, 1);
    assert.match(missing.stderr, new RegExp(`holdfast destination init ${stick}`));
    assert.ok(!existsSync(stick));
    mkdirSync(stick);
    const unmarked = await backUp(stick);
    assert.equal(unmarked.status, 1);
    assert.match(unmarked.stderr, /is not a destination yet: it has no marker[^]*holdfast destination init/);
    assert.deepEqual(readdirSync(stick), []);
    const inside = join(daemon.dir, "notes/backups");
    mkdirSync(inside);
    assert.match((await backUp(inside)).stderr, /lies inside the datastore "notes"/);
    assert.equal((await backUp("usb")).status, 4);

    assert.equal((await daemon.holdfast(["destination", "init", stick])).status, 0);
    const names: string[] = [];
    for (let index = 0; index < 2; index += 1) {
      const { status, stdout, stderr } = await backUp(`${stick}/`);
      assert.equal(status, 0, stderr);
      names.push(/^ok: (\S+), /.exec(stdout)?.[1] ?? assert.fail(stdout));
      assert.ok(stdout.includes(`\`holdfast list --offline ${stick}\` lists it`), stdout);
    }
    // Neither the list nor retention knows of them.
    assert.equal((await daemon.holdfast(["list"])).stdout, "");
    assert.equal((await daemon.holdfast(["backup", "daily"])).status, 0);
    const offline = await daemon.json<readonly { readonly name: string }[]>(["list", "--offline", stick]);
    assert.deepEqual(offline.map(({ name }) => name).toSorted(), names);

    writeFileSync(join(daemon.dir, "notes/a.txt"), "two");
    const restored = await daemon.holdfast(["restore", "--offline", join(stick, "daily", names[0] ?? ""), "--yes"]);
    assert.equal(restored.status, 0, restored.stderr);
    assert.equal(readFileSync(join(daemon.dir, "notes/a.txt"), "utf8"), "one");

    // The path of a destination that the config knows means that destination.
    assert.equal((await backUp(join(daemon.dir, "backups"))).status, 0);
    const listed = await daemon.json<readonly { readonly destination: string }[]>(["list"]);
    assert.deepEqual([...new Set(listed.map(({ destination }) => destination))], ["local"]);
  },
);

async function waitForProblems(daemon: StartedDaemon, expected: "none" | RegExp): Promise<Status> {
  return await waitUntil(
    `problems: ${String(expected)}`,
    async () => {
      const status = await daemon.json<Status>(["status"]);
      const { problems } = status;
      return (expected === "none" ? problems.length === 0 : problems.some((problem) => expected.test(problem))) && status;
    },
    { withinMs: 120_000 },
  );
}

test("W12 the status tells of a destination that is gone before a run needs it, and that it is back", { timeout: 300_000 }, async () => {
  const spare = (dir: string): string =>
    createConfig(dir).replace("datastores:", `  usb: { kind: local, path: ${dir}/usb, required: false }\n$&`);
  await using daemon = await startDaemon({ config: spare, init: ["local"] });
  assert.equal((await daemon.json<Status>(["status"])).state, "ok");
  const backups = join(daemon.dir, "backups");
  renameSync(backups, `${backups}.away`);
  assert.equal((await daemon.holdfast(["reload"])).status, 0);
  const gone = await waitForProblems(
    daemon,
    /destination "local" \(.*backups\) is not there\. Mount it, or make it: holdfast destination init local/,
  );
  assert.equal(gone.state, "warning");
  assert.equal((await daemon.holdfast(["status", "--check"])).status, 1);
  mkdirSync(backups);
  await daemon.holdfast(["reload"]);
  await waitForProblems(daemon, /it has no marker/);
  rmSync(backups, { recursive: true });
  renameSync(`${backups}.away`, backups);
  // Nobody has to say so.
  await waitForProblems(daemon, "none");
  assert.match(daemon.log(), /destination \\?"local\\?" can be used again/);
});

test(
  "W12 a destination whose name has come to mean another directory is told of, once, with where its backups are",
  { timeout: 300_000 },
  async () => {
    await using daemon = await startDaemon({ config: createConfig, init: ["local"] });
    mkdirSync(join(daemon.dir, "notes"));
    writeFileSync(join(daemon.dir, "notes/a.txt"), "one");
    assert.equal((await daemon.holdfast(["backup", "daily"])).status, 0);
    await daemon.writeConfig(createConfig(daemon.dir).replace("/backups", "/other"));
    assert.equal((await daemon.holdfast(["destination", "init", "local"])).status, 0);
    assert.equal((await daemon.holdfast(["reload"])).status, 0);
    const told = await daemon.waitForLog(/.*"?local\\?"? is another place than before.*/);
    assert.match(told, /holdfast list --offline PATH/);
    assert.equal((await daemon.holdfast(["rebuild"])).status, 0);
    assert.equal((await daemon.holdfast(["list"])).stdout, "");
    assert.equal(daemon.log().match(/is another place than before/g)?.length, 1);
    const log = daemon.log();
    assert.ok(log.indexOf("is another place") < log.indexOf("is no longer at"), "the reason comes before what it leads to");
  },
);
