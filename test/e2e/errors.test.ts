import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import Database from "better-sqlite3";
import { errorPolicies, type ErrorCode, type ErrorReport } from "../../src/base/errors.ts";
import { allRoutes } from "../../src/control/route-table.ts";
import { ask, type Answer, type Asked } from "../support/control.ts";
import { createInstallation } from "../support/daemon.ts";
import { createRunBed, findTaskProcesses, signalTask, freezeTask, type RunBed } from "../support/daemon-runs.ts";
import { assertGolden } from "../support/golden.ts";
import { waitUntil } from "../support/wait-until.ts";

const root = join(import.meta.dirname, "../..");
const noSignal = new AbortController().signal;

/** Codes that no small installation reaches by itself, and the test that reaches each with a real part. */
const elsewhere: Partial<Record<ErrorCode, readonly [file: string, title: RegExp]>> = {
  "source-locked": ["src/datastores/sqlite/dump-live.test.ts", /source-locked/],
  "source-changed": ["src/datastores/sqlite/dump-sources.test.ts", /source-changed/],
  "hold-exceeded": ["src/operations/hold/open-hold.test.ts", /hold-exceeded/],
  "source-unreadable": ["src/datastores/sqlite/dump-sources.test.ts", /source-unreadable/],
  "destination-unwritable": ["src/destinations/local/local-destination.test.ts", /destination-unwritable/],
  "destination-failed": ["test/integration/destination-local-kill.test.ts", /failed \(destination-failed/],
  "no-space": ["src/operations/forecast.test.ts", /no-space/],
  "disk-failed": ["test/integration/kill-backup.test.ts", /EIO/],
  "format-unsupported": ["src/archive/manifest.test.ts", /format-unsupported/],
  "state-unwritable": ["test/e2e/state-rights.test.ts", /state-unwritable/],
  "tool-missing": ["src/base/subprocess.test.ts", /tool-missing/],
  "tool-failed": ["src/base/subprocess.test.ts", /tool-failed/],
  "restore-stuck": ["test/integration/restore-journal.test.ts", /restore-stuck/],
  "target-in-use": ["src/datastores/sqlite/restore-live.test.ts", /target-in-use/],
  "target-unsafe": ["src/datastores/sqlite/restore-places.test.ts", /target-unsafe/],
  busy: ["src/queue/locks.test.ts", /busy/],
  internal: ["src/base/errors.test.ts", /internal/],
};

const seen = new Set<ErrorCode>();
let bed: RunBed;
let daemon: Awaited<ReturnType<RunBed["start"]>>;

const datastoresOf = (dir: string): string => `  missing: { kind: sqlite, path: ${dir}/data/missing.db }
  empty: { kind: sqlite, path: ${dir}/data/empty.db }
  noise: { kind: sqlite, path: ${dir}/data/noise.db }
  corrupt: { kind: sqlite, path: ${dir}/data/corrupt.db }
  gone: { kind: files, include: [${dir}/data/gone.txt] }
  silent: { kind: postgresql, host: 127.0.0.1, port: 1, user: backup, waitFor: 0s }
`;
const jobs = `  fine: { datastores: [one], destination: local, name: "fine_{YYYYMMDD}" }
  twin: { datastores: [one], destination: local, name: "fine_{YYYYMMDD}" }
  missing: { datastores: [missing], destination: local }
  empty: { datastores: [empty], destination: local }
  noise: { datastores: [noise], destination: local }
  corrupt: { datastores: [corrupt], destination: local }
  silent: { datastores: [silent], destination: local, retry: { attempts: 1 } }
  away: { datastores: [one], destination: away, retry: { attempts: 1 } }
  plain: { datastores: [one], destination: plain, retry: { attempts: 1 } }
  foreign: { datastores: [one], destination: foreign, retry: { attempts: 1 } }
  brief: { datastores: [one], destination: local, maxDuration: 1s, retry: { attempts: 1 } }
  dying: { datastores: [one], destination: local, retry: { attempts: 1 } }
  hooked: { datastores: [two], destination: local, restore: { stop: [{ shell: "echo the pump is stuck >&2; exit 3" }] } }
  checked:
    datastores: [two]
    destination: local
    restore: { check: [{ command: ["/bin/sh", "-c", "echo it is ill >&2; exit 4"], retryFor: 1ms }] }
`;

before(async () => {
  bed = await createRunBed("");
  const { dir } = bed;
  const local = (name: string): string => `  ${name}: { kind: local, path: ${dir}/${name} }\n`;
  await bed.writeConfig(
    `destinations:\n  local: { kind: local, path: ${dir}/backups }\n${["away", "plain", "foreign", "other"].map(local).join("")}datastores:\n  one: { kind: sqlite, path: ${dir}/data/one.db }\n  two: { kind: sqlite, path: ${dir}/data/two.db }\n${datastoresOf(dir)}jobs:\n${jobs}`,
  );
  writeFileSync(join(dir, "data/empty.db"), "");
  writeFileSync(join(dir, "data/noise.db"), createHash("sha512").update("noise").digest().toString("hex").repeat(64));
  const corrupt = new Database(join(dir, "data/corrupt.db"));
  corrupt.exec("CREATE TABLE t (a); CREATE INDEX i ON t (a)");
  corrupt.prepare("INSERT INTO t SELECT randomblob(300) FROM json_each(?)").run(JSON.stringify(Array.from({ length: 200 }, () => 0)));
  corrupt.close();
  const bytes = readFileSync(join(dir, "data/corrupt.db"));
  bytes.fill(0xff, 100, 4096);
  writeFileSync(join(dir, "data/corrupt.db"), bytes);
  mkdirSync(join(dir, "plain"));
  for (const name of ["other", "foreign"]) assert.equal((await bed.holdfast(["destination", "init", name])).status, 0);
  for (const name of readdirSync(join(dir, "other"))) writeFileSync(join(dir, "foreign", name), readFileSync(join(dir, "other", name)));
  daemon = await bed.start();
});
after(async () => {
  await bed?.[Symbol.asyncDispose]();
});

/** Ids, times, pids, inodes and directories differ between runs. */
function normalise(text: string): string {
  return text
    .replaceAll(bed.dir, "DIR")
    .replaceAll(root, "PROGRAM")
    .replaceAll(/\b[0-9a-hjkmnp-tv-z]{20}\b/g, "ID")
    .replaceAll(/sqlite:\d+:\d+/g, "sqlite:DEVICE:INODE")
    .replaceAll(/\b[0-9a-f]{64}\b/g, "HASH")
    .replaceAll(/\bpid \d+/g, "pid N")
    .replaceAll(/(?<!\d)20\d{6}(_\d{6})?/g, "DATE")
    .replaceAll(/\b20\d\d-\d\d-\d\dT[\d:.]+Z/g, "INSTANT")
    .replaceAll(/\b\d+(\.\d+)? (B|KiB|MiB|GiB)\b/g, "SIZE");
}

function compare(
  code: ErrorCode,
  did: string,
  outcome: string,
  error: Pick<ErrorReport, "code" | "message"> & { hint?: string | null },
): void {
  assert.equal(error.code, code, error.message);
  const hint = error.hint === undefined || error.hint === null ? "" : `hint: ${error.hint}\n`;
  assertGolden(`errors/${code}.txt`, normalise(`${did}\n${outcome}\n${error.code}: ${error.message}\n${hint}`));
  seen.add(code);
}

/** A restore that fails has one code; what made it fail stands in its details. */
async function restore(cause: ErrorCode, args: readonly string[]): Promise<void> {
  const { status, stdout } = await bed.holdfast(["--json", "restore", ...args]);
  const { error } = JSON.parse(stdout) as { error: ErrorReport };
  assert.deepEqual(
    [status, error.code, error.details?.["cause"]],
    [errorPolicies["restore-failed"].exit, "restore-failed", cause],
    error.message,
  );
  compare(cause, `$ holdfast restore ${args.join(" ")}`, `exit ${status}`, { ...error, code: cause });
}

/** Calls the command line: the error is a document on standard output, the exit status the code's. */
async function call(code: ErrorCode, args: readonly string[], at: Pick<RunBed, "holdfast"> = bed): Promise<void> {
  const { status, stdout, stderr } = await at.holdfast(["--json", ...args]);
  const { error } = JSON.parse(stdout === "" ? `{"error":{"message":${JSON.stringify(stderr)}}}` : stdout) as { error: ErrorReport };
  compare(code, `$ holdfast ${args.join(" ")}`, `exit ${status}`, error);
  assert.equal(status, errorPolicies[code].exit);
}

async function send(code: ErrorCode, asked: Asked, path = bed.socketPath): Promise<void> {
  const { status, body } = await ask(path, asked);
  compare(code, `${asked.method ?? "GET"} ${asked.path}`, `HTTP ${status}`, (body as { error: ErrorReport }).error);
  assert.equal(status, errorPolicies[code].http);
}

async function back(job: string): Promise<{ readonly name: string; readonly id: string }> {
  const { result, error } = await bed.end(await bed.ask(job));
  assert.equal(error, null, JSON.stringify(error));
  const { backupId, details } = result as { backupId: string; details: { name: string } };
  return { id: backupId, name: details.name };
}

async function verify(code: ErrorCode, id: string): Promise<void> {
  const { task } = await bed.client.send<{ task: string }>({ method: "POST", path: `/backups/${id}/verify`, body: {} }, noSignal);
  await end(code, "a backup is verified", task);
}

/** How a task ended that was asked for on the socket. */
async function end(code: ErrorCode, did: string, task: string): Promise<void> {
  const { state, error } = await bed.end(task);
  assert.ok(error !== null, state);
  compare(code, did, `ended ${state}`, error);
}

describe("every error has a real case, told as it is told to people", () => {
  test("the call or the config is wrong", async () => {
    await send("usage", { method: "POST", path: "/v1/jobs/fine/backups", body: { notes: "x" } });
    await call("config-missing", ["--config", join(bed.dir, "nothing.yaml"), "check"]);
    const broken = join(bed.dir, "broken.yaml");
    writeFileSync(broken, "destinations:\n  local: { kind: locla, path: /x }\njobs:\n  a: { datastores: [crm], destination: lokal }\n");
    await call("config-invalid", ["--config", broken, "check"]);
    await call("unknown-name", ["backup", "fien"]);
    await call("backup-not-found", ["show", "nothing-of-this-name"]);
    await call("forbidden", ["--socket", bed.statusSocketPath, "backup", "fine"]);
    await call("daemon-unreachable", ["--socket", join(bed.dir, "nobody.sock"), "status"]);
    await call("daemon-running", ["daemon"]);
  });

  test("F50 F30 the source is not as it should be", async () => {
    await call("source-missing", ["backup", "missing"]);
    await call("source-unreachable", ["backup", "silent"]);
    await call("source-empty", ["backup", "empty"]);
    await call("source-encrypted", ["backup", "noise"]);
    await call("source-corrupt", ["backup", "corrupt"]);
  });

  test("P10 F19 the destination is not as it should be", async () => {
    await call("destination-missing", ["backup", "away"]);
    await call("destination-unmarked", ["backup", "plain"]);
    await call("destination-foreign", ["backup", "foreign"]);
  });

  test("runs that come to a bad end", async () => {
    const dying = await bed.ask("dying");
    {
      using _frozen = await freezeTask(dying);
      signalTask(dying, "SIGKILL");
    }
    await end("worker-died", "a worker is killed", dying);
    await send("conflict", { method: "DELETE", path: `/v1/tasks/${dying}` });

    const locks = join(bed.dir, "run/locks");
    const name = createHash("sha256")
      .update(`path:${join(bed.dir, "data/one.db")}`)
      .digest("hex");
    mkdirSync(locks, { recursive: true });
    const holder = spawn("flock", ["-n", join(locks, name), "sh", "-c", "echo held; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
    await once(holder.stdout, "data");
    await end("timeout", "a backup may take one second and waits for a lock", await bed.ask("brief"));
    const task = await bed.ask("fine");
    await bed.client.send({ method: "DELETE", path: `/tasks/${task}` }, noSignal);
    holder.stdin.end();
    await end("cancelled", "a backup is cancelled", task);
  });

  test("L7 restores, removals and proofs that cannot be", async () => {
    await call("nothing-to-undo", ["undo", "--yes"]);
    const fine = await back("fine");
    await call("not-confirmed", ["restore", fine.name, "--job", "fine"]);
    await call("refused", ["delete", fine.name, "--job", "fine", "--yes"]);
    await back("twin");
    await call("ambiguous-name", ["show", fine.name]);
    await back("hooked");
    await restore("hook-failed", ["latest", "--job", "hooked", "--yes"]);
    await back("checked");
    await restore("check-failed", ["latest", "--job", "checked", "--yes"]);

    const broken = await back("dying");
    const folder = join(bed.dir, "backups/dying", broken.name);
    const entry = readdirSync(folder).find((each) => each.startsWith("one.db")) ?? "";
    const whole = readFileSync(join(folder, entry));
    const flipped = Buffer.from(whole);
    flipped[flipped.length >> 1] = (flipped[flipped.length >> 1] ?? 0) ^ 1;
    writeFileSync(join(folder, entry), flipped);
    await verify("backup-damaged", broken.id);
    await call("backup-unverified", ["restore", broken.id, "--yes"]);
    const other = await back("dying");
    const otherFolder = join(bed.dir, "backups/dying", other.name);
    renameSync(join(otherFolder, entry), join(bed.dir, "aside"));
    await verify("backup-incomplete", other.id);
    renameSync(join(bed.dir, "aside"), join(otherFolder, entry));
    const third = await back("dying");
    writeFileSync(join(bed.dir, "backups/dying", third.name, "manifest.json"), "{}");
    await verify("manifest-invalid", third.id);
  });

  test("G6 a restore that cannot save what is there leaves it as it is", async () => {
    const fine = await back("fine");
    const path = join(bed.dir, "data/one.db");
    const held = readFileSync(path);
    writeFileSync(path, randomBytes(20_000));
    await call("restore-failed", ["restore", fine.id, "--yes"]);
    writeFileSync(path, held);
  });

  test("F1 F11 the daemon or its state has gone", async () => {
    const task = await bed.ask("fine");
    using frozen = await freezeTask(task);
    await daemon.kill();
    await waitUntil("the worker's end", () => findTaskProcesses(task).length === 0);
    frozen.thaw();
    daemon = await bed.start();
    const run = (await bed.runs()).find(({ taskId, state }) => taskId === task && state === "interrupted");
    assert.ok(run?.error !== undefined);
    compare("interrupted", "the daemon is killed", `ended ${run.state}`, run.error);
    await bed.end(task);
    await daemon.stop();

    const catalog = join(bed.dir, "state/catalog.db");
    for (const ending of ["-wal", "-shm"]) rmSync(catalog + ending, { force: true });
    const database = new Database(catalog);
    const version = database.pragma("user_version", { simple: true });
    database.pragma("user_version = 999");
    database.close();
    await call("state-newer", ["daemon"]);
    const again = new Database(catalog);
    again.pragma(`user_version = ${String(version)}`);
    again.close();
    const bytes = readFileSync(catalog);
    writeFileSync(catalog, bytes.subarray(0, bytes.length >> 1));
    await call("state-corrupt", ["daemon"]);
    writeFileSync(catalog, bytes);
    daemon = await bed.start();
  });

  test("every route answers a bad request by its code, with a message that says which part is wrong", async () => {
    const lines: string[] = [];
    for (const route of allRoutes.toSorted((one, other) => (`${one.path} ${one.method}` < `${other.path} ${other.method}` ? -1 : 1))) {
      const path = `/v1${route.path.replaceAll(/:[a-z]+/gi, "nothing")}`;
      const asked: Asked[] = [{ method: route.method, path: `${path}?nonsense=1` }];
      if (route.path.includes(":")) asked.push({ method: route.method, path: withNeeded(route.path, path) });
      for (const request of asked) {
        const body =
          route.path.endsWith("/copy") && request === asked[1]
            ? { to: "other" }
            : route.path.endsWith("/marks")
              ? { mark: "note" }
              : undefined;
        const answer = await ask(bed.socketPath, body === undefined ? request : { ...request, body });
        assert.ok(answer.status >= 400 && answer.status < 500, `${request.method} ${request.path}: ${answer.status} ${answer.text}`);
        lines.push(describeAnswer(request, answer));
      }
    }
    assertGolden("errors/routes.txt", normalise(`${lines.join("\n")}\n`));
  });

  test("each code has its case here, or a test of its own elsewhere", () => {
    for (const code of Object.keys(errorPolicies) as ErrorCode[]) {
      const other = elsewhere[code];
      if (other === undefined) {
        assert.ok(seen.has(code), `${code} has no case`);
        assert.ok(existsSync(join(root, `test/golden/errors/${code}.txt`)));
        continue;
      }
      assert.ok(!seen.has(code), `${code} has a case here: it need not stand in the table`);
      const [file, title] = other;
      assert.ok(existsSync(join(root, file)), `${file}, which is to have ${code}, is not there`);
      assert.ok(title.test(readFileSync(join(root, file), "utf8")), `${file} has no case of ${code}`);
    }
  });
});

function withNeeded(route: string, path: string): string {
  return route.endsWith("/texts/:text") ? path.replace("/backups/nothing/", "/backups/latest/") : path;
}

function describeAnswer({ method, path }: Asked, { status, body }: Answer): string {
  const { code, message, hint } = (body as { error: ErrorReport }).error;
  return `${method} ${path}\n  ${status} ${code}: ${message}${hint === undefined ? "" : `\n  hint: ${hint}`}`;
}

test("a daemon that has never started is told from one that has lost its state", async () => {
  await using fresh = await createInstallation({ config: "destinations: {}\ndatastores: {}\njobs: {}\n" });
  const { status } = await fresh.holdfast(["--json", "status"]);
  assert.equal(status, errorPolicies["daemon-unreachable"].exit);
});
