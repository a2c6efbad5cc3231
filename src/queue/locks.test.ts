import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fc } from "../../test/support/properties.ts";
import { type ConcurrencyKey, keysConflict } from "../base/concurrency-key.ts";
import { identifyProcess } from "../base/process-group.ts";
import { acquireLocks } from "./locks.ts";
import { nameLockFile, planLocks } from "./plan-locks.ts";

const { signal } = new AbortController();
const program = join(import.meta.dirname, "../../test/fixtures/programs/hold-locks.ts");
const directoryKey: ConcurrencyKey = { id: "files:srv", paths: ["/srv"] };
const fileKey: ConcurrencyKey = { id: "sqlite:1:1", paths: ["/srv/app/memory.db"] };
const besideKey: ConcurrencyKey = { id: "sqlite:1:2", paths: ["/srv/app/memory.db2"] };

/** Processes that a failing test would leave behind. */
const started: number[] = [];
let parent: string;
let directory: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "holdfast-locks-"));
  directory = join(parent, "locks");
});
afterEach(() => {
  for (const pid of started.splice(0)) {
    if (identifyProcess(pid) !== undefined) process.kill(pid, "SIGKILL");
  }
  rmSync(parent, { recursive: true });
});

const acquire = (...keys: ConcurrencyKey[]) => acquireLocks({ directory, keys, holder: "backup 01 of job nightly" }, signal);

interface Holder {
  readonly child: ChildProcess;
  readonly answer: string;
}

/** A process of its own that takes the locks; with the first line that it says. */
async function startHolder(keys: readonly ConcurrencyKey[], mode: "keep" | "hand-over"): Promise<Holder> {
  const child = spawn(process.execPath, [program, directory, JSON.stringify(keys), mode], { stdio: ["pipe", "pipe", "inherit"] });
  started.push(child.pid ?? 0);
  for await (const answer of createInterface({ input: child.stdout })) {
    if (answer.startsWith("held ")) started.push(Number(answer.slice("held ".length)));
    return { child, answer };
  }
  throw new Error("the holder said nothing");
}

async function kill({ child }: Holder): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** The kernel lets go of a killed process's locks when it has torn it down, and nobody is told. */
async function waitUntilFree(...keys: ConcurrencyKey[]): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      (await acquire(...keys))[Symbol.dispose]();
      return;
    } catch (error) {
      if (tries > 200) throw error;
      await delay(5);
    }
  }
}

test("G2 F8 what one process holds no other gets; the kernel frees it when the holder is killed, though a grandchild lives on", async () => {
  const holder = await startHolder([fileKey], "keep");
  assert.match(holder.answer, /^held \d+$/);
  await assert.rejects(acquire(fileKey), {
    code: "busy",
    message: `Cannot lock sqlite:1:1: test holder (pid ${holder.child.pid}) holds it`,
  });
  const second = await startHolder([fileKey], "keep");
  assert.match(second.answer, /^busy /);
  await kill(holder);
  const grandchild = Number(holder.answer.split(" ")[1]);
  assert.ok(process.kill(grandchild, 0));
  (await acquire(fileKey))[Symbol.dispose]();
  process.kill(grandchild, "SIGKILL");
});

test("G2 a worker that inherited the locks holds them though the daemon closed its own and died", async () => {
  const holder = await startHolder([fileKey, directoryKey], "hand-over");
  const worker = Number(holder.answer.split(" ")[1]);
  await assert.rejects(acquire(fileKey), { code: "busy" });
  await kill(holder);
  await assert.rejects(acquire(fileKey), { code: "busy", message: "Cannot lock sqlite:1:1: another program holds it" });
  process.kill(worker, "SIGKILL");
  await waitUntilFree(fileKey);
});

test("G2 a directory and a file in it conflict across processes, either way; files beside one another do not", async () => {
  for (const [held, wanted] of [[directoryKey, fileKey] as const, [fileKey, directoryKey] as const]) {
    const holder = await startHolder([held], "keep");
    await assert.rejects(acquire(wanted), { code: "busy" });
    (await acquire(besideKey).catch((error: unknown) => (held === directoryKey ? undefined : Promise.reject(error as Error))))?.[
      Symbol.dispose
    ]();
    process.kill(Number(holder.answer.split(" ")[1]), "SIGKILL");
    await kill(holder);
  }
});

test("all or none: a lock that is refused leaves nothing behind", async () => {
  using held = await acquire(fileKey);
  await assert.rejects(acquire(besideKey, fileKey, { id: "other", paths: [] }), { code: "busy" });
  (await acquire(besideKey, { id: "other", paths: [] }))[Symbol.dispose]();
  assert.ok(held.fds.length > 0);
});

test("G2 two tasks of one process exclude one another too, and letting go twice is harmless", async () => {
  const first = await acquire(fileKey, directoryKey);
  await assert.rejects(acquire(fileKey), {
    code: "busy",
    message: `Cannot lock sqlite:1:1: backup 01 of job nightly (pid ${process.pid}) holds it`,
  });
  first[Symbol.dispose]();
  const second = await acquire(fileKey);
  first[Symbol.dispose]();
  await assert.rejects(acquire(fileKey), { code: "busy" });
  second[Symbol.dispose]();
});

test("G2 an outside program takes the same lock, as the documentation says", async () => {
  (await acquire(fileKey))[Symbol.dispose]();
  const command = `exec flock -n "${directory}/$(printf %s path:/srv/app/memory.db | sha256sum | cut -c1-64)" sh -c 'echo held; exec sleep 1000'`;
  const child = spawn("sh", ["-c", command], { stdio: ["ignore", "pipe", "inherit"], detached: true });
  for await (const line of createInterface({ input: child.stdout })) if (line === "held") break;
  await assert.rejects(acquire(fileKey), { code: "busy", message: "Cannot lock sqlite:1:1: another program holds it" });
  process.kill(-(child.pid ?? 0), "SIGKILL");
  await once(child, "exit");
  await waitUntilFree(fileKey);
  using _held = await acquire(fileKey);
  assert.equal(spawnSync("sh", ["-c", command.replace("sleep 1000", "true")]).status, 1);
});

test("lock files belong to root and the directory's group, not to everybody; they name their holder while it holds", async () => {
  (await acquire({ id: "first", paths: [] }))[Symbol.dispose]();
  assert.equal(statSync(directory).mode & 0o777, 0o750);
  chownSync(directory, 0, 12_345);
  const path = join(directory, nameLockFile("a"));
  const held = await acquire({ id: "a", paths: [] });
  assert.equal(statSync(path).mode & 0o777, 0o640);
  assert.equal(statSync(path).gid, 12_345);
  assert.match(readFileSync(path, "utf8"), /backup 01 of job nightly/);
  held[Symbol.dispose]();
  assert.equal(readFileSync(path, "utf8"), "");
  assert.ok(existsSync(path));
});

test("no keys, no locks; a cancelled wait takes none", async () => {
  using none = await acquire();
  assert.deepEqual(none.fds, []);
  await assert.rejects(acquireLocks({ directory, keys: [fileKey], holder: "x" }, AbortSignal.abort()), { code: "cancelled" });
  const controller = new AbortController();
  const aborted = acquireLocks({ directory, keys: [fileKey], holder: "x" }, controller.signal);
  controller.abort();
  await assert.rejects(aborted, { code: "cancelled" });
  await waitUntilFree(fileKey);
});

test("G2 the kernel's locks conflict exactly where the queue's keys do", () => {
  const path = fc.array(fc.constantFrom("a", "ab", "b"), { maxLength: 3 }).map((parts) => `/${parts.join("/")}`);
  const key = fc.record({ id: fc.constantFrom("x", "y", "z"), paths: fc.array(path, { maxLength: 2 }) });
  fc.assert(
    fc.property(key, key, (one, other) => {
      const theirs = new Map(planLocks([other]).map(({ fileName, mode }) => [fileName, mode]));
      const conflict = planLocks([one]).some(
        ({ fileName, mode }) => theirs.has(fileName) && (mode === "exclusive" || theirs.get(fileName) === "exclusive"),
      );
      assert.equal(conflict, keysConflict(one, other));
    }),
    { numRuns: 1_000 },
  );
});
