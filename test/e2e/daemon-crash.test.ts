import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test } from "node:test";
import { createRunBed, findTaskProcesses, signalTask, freezeTask, writeLargeFile, type RunBed } from "../support/daemon-runs.ts";
import { waitUntil } from "../support/wait-until.ts";

const slow = `  slow: { datastores: [large, one], destination: local, compression: { method: zstd, level: 19 } }\n`;
const quick = `  quick: { datastores: [one], destination: local, retry: { attempts: 2, backoff: 1s } }\n`;

/** A task whose run is on its way to the destination. */
async function startSlowRun(bed: RunBed): Promise<string> {
  const task = await bed.ask("slow");
  await waitUntil("something hidden at the destination", () => bed.stored("slow").length > 0);
  return task;
}

async function shrinkLargeFile(bed: RunBed): Promise<void> {
  await writeLargeFile(bed, 1);
}

describe("death", { concurrency: 2 }, () => {
  test("F1 F5 kill -9 of the daemon: what was asked for is done by the next one, nothing half is left, no process, no key", async () => {
    await using bed = await createRunBed(slow);
    await writeLargeFile(bed, 150);
    const daemon = await bed.start();
    const running = await startSlowRun(bed);
    const waiting = await bed.ask("slow", { note: "asked for before the crash" });
    assert.ok(findTaskProcesses(running).length > 0);
    await daemon.kill();
    await waitUntil("the end of the workers", () => findTaskProcesses(running).length === 0);
    assert.notDeepEqual(bed.staged(), []);
    assert.equal(
      bed.stored("slow").every((name) => name.startsWith(".")),
      true,
      bed.stored("slow").join(),
    );

    await shrinkLargeFile(bed);
    const next = await bed.start();
    assert.match(next.log(), /was interrupted/);
    assert.equal((await bed.end(running)).state, "done");
    assert.equal((await bed.end(waiting)).state, "done");
    const runs = (await bed.runs()).filter(({ kind }) => kind === "backup");
    assert.deepEqual(
      runs.map(({ state }) => state),
      ["ok", "ok", "interrupted"],
    );
    assert.deepEqual(
      runs.map(({ attempt }) => attempt),
      [1, 2, 1],
    );
    assert.deepEqual(bed.staged(), []);
    assert.equal(bed.stored("slow").filter((name) => name.startsWith(".")).length, 0, bed.stored("slow").join());
    assert.equal((await bed.json<readonly unknown[]>(["list"])).length, 2);
  });

  test("F4 kill -9 of the worker: the run failed and says so, it is tried again as the job says, nothing is left of it", async () => {
    await using bed = await createRunBed(quick);
    const daemon = await bed.start();
    const task = await bed.ask("quick");
    using _frozen = await freezeTask(task);
    signalTask(task, "SIGKILL");
    assert.equal((await bed.end(task)).state, "done");
    const runs = await bed.runs();
    assert.deepEqual(
      runs.map(({ state, error }) => [state, error?.code]),
      [
        ["ok", undefined],
        ["failed", "worker-died"],
      ],
    );
    assert.match(runs[1]?.summary ?? "", /The worker was killed by SIGKILL without a result/);
    assert.match(daemon.log(), /out-of-memory/);
    assert.deepEqual(bed.staged(), []);
  });

  test("F2 SIGTERM lets a run end, takes no other, and exits 0; who waits is served by the next daemon", async () => {
    await using bed = await createRunBed(quick);
    const daemon = await bed.start();
    const task = await bed.ask("quick");
    const frozen = await freezeTask(task);
    const next = await bed.ask("quick");
    const watched = bed.end(task);
    const ended = daemon.stop();
    await daemon.waitForLog(/Stopping/);
    frozen.thaw();
    assert.equal((await watched).state, "done");
    assert.equal(await ended, 0);
    await bed.start();
    assert.equal((await bed.end(next)).state, "done");
    assert.deepEqual(
      (await bed.runs()).map(({ state }) => state),
      ["ok", "ok"],
    );
  });

  test("F2 a second SIGTERM ends the run: its children go, nothing is left, it is recorded, and done after the next start", async () => {
    await using bed = await createRunBed(slow);
    await writeLargeFile(bed, 150);
    const daemon = await bed.start();
    const task = await startSlowRun(bed);
    process.kill(daemon.pid, "SIGTERM");
    await daemon.waitForLog(/Stopping/);
    process.kill(daemon.pid, "SIGTERM");
    assert.equal(await daemon.ended, 0);
    assert.deepEqual(findTaskProcesses(task), []);
    assert.deepEqual([bed.staged(), bed.stored("slow")], [[], []]);
    await shrinkLargeFile(bed);
    await bed.start();
    assert.equal((await bed.end(task)).state, "done");
    assert.deepEqual(
      (await bed.runs()).map(({ state }) => state),
      ["ok", "interrupted"],
    );
  });

  test("F2 a run that only waits for an outside lock does not hold up the end", async () => {
    await using bed = await createRunBed(quick);
    const daemon = await bed.start();
    const first = await bed.ask("quick");
    assert.equal((await bed.end(first)).state, "done");
    const locks = join(bed.dir, "run/locks");
    const holder = spawn("sh", ["-c", `for f in ${locks}/*; do exec 9>>"$f"; flock -n 9 && break; done; echo held; exec cat`], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    const task = await bed.ask("quick");
    await waitUntil("the wait for the lock", async () => (await bed.task(task))?.progress?.phase.startsWith("waiting") === true);
    const before = performance.now();
    assert.equal(await daemon.stop(), 0);
    assert.ok(performance.now() - before < 20_000, "it waited for the drain's end");
    holder.stdin.end();
    await once(holder, "exit");
    await bed.start();
    assert.equal((await bed.end(task)).state, "done");
  });

  test("F3 F6 a daemon that was stopped for a while is still the only one, and its run is told right", async () => {
    await using bed = await createRunBed(slow);
    await writeLargeFile(bed, 20);
    const daemon = await bed.start();
    const task = await startSlowRun(bed);
    process.kill(daemon.pid, "SIGSTOP");
    try {
      const second = await bed.holdfast(["daemon"]);
      assert.equal(second.status, 5, second.stderr);
      assert.match(second.stdout + second.stderr, /another daemon \(pid \d+\) works with it/);
      await waitUntil("the worker's end", () => findTaskProcesses(task).length === 0);
    } finally {
      process.kill(daemon.pid, "SIGCONT");
    }
    assert.equal((await bed.end(task)).state, "done");
    assert.deepEqual(
      (await bed.runs()).map(({ state }) => state),
      ["ok"],
    );
  });

  test("L3 F12 a crash loop takes no backup at each start, and rotates none away", async () => {
    await using bed = await createRunBed(`  start: { datastores: [one], destination: local, atStart: true, retention: { keepLast: 1 } }\n`);
    const first = await bed.start();
    await first.waitForLog(/backup of job .*start.* ended ok/);
    const [good] = await bed.json<readonly { readonly name: string }[]>(["list"]);
    await first.kill();
    for (let crash = 0; crash < 3; crash += 1) {
      const daemon = await bed.start();
      assert.match(daemon.log(), /at start: skip, the newest verified backup is/);
      await daemon.kill();
    }
    await bed.start();
    assert.deepEqual(
      (await bed.json<readonly { readonly name: string }[]>(["list"])).map(({ name }) => name),
      [good?.name],
    );
    assert.equal((await bed.runs()).length, 1);
  });
});
