import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { HoldfastError } from "../../src/base/errors.ts";
import { createRunBed, findTaskProcesses, freezeTask, writeLargeFile } from "../support/daemon-runs.ts";
import { waitUntil } from "../support/wait-until.ts";

const jobs = `  first: { datastores: [one], destination: local }
  second: { datastores: [one, two], destination: local }
  other: { datastores: [two], destination: local }
`;
const noSignal = new AbortController().signal;

describe("one at a time", { concurrency: 2 }, () => {
  test("G2 jobs that share a database never overlap, others go on beside them; who waits says why", async () => {
    await using bed = await createRunBed(jobs);
    await bed.start();
    const first = await bed.ask("first");
    using frozen = await freezeTask(first);
    const second = await bed.ask("second");
    const waiting = await bed.task(second);
    assert.equal(waiting?.state, "waiting");
    assert.match(waiting.waitingBecause ?? "", new RegExp(`waiting because backup ${first} of job first .*holds`));
    // `other` shares a database with `second`, which waits with a claim on it and was here before.
    const other = await bed.ask("other");
    assert.match((await bed.task(other))?.waitingBecause ?? "", /waiting because/);
    await bed.client.send({ method: "DELETE", path: `/tasks/${second}` }, noSignal);
    assert.equal((await bed.end(other)).state, "done");
    assert.equal((await bed.task(first))?.state, "running");
    const again = await bed.ask("second");
    frozen.thaw();
    assert.equal((await bed.end(first)).state, "done");
    assert.equal((await bed.end(again)).state, "done");
    const [last, before] = (await bed.runs()).filter(({ job }) => job !== "other");
    assert.ok((last?.startedAtMs ?? 0) >= (before?.finishedAtMs ?? Infinity), "the second began before the first had ended");
  });

  test("G2 an outside program with the documented lock makes the run wait, which is shown; then it goes on", async () => {
    await using bed = await createRunBed(jobs);
    await bed.start();
    const name = createHash("sha256")
      .update(`path:${join(bed.dir, "data/one.db")}`)
      .digest("hex");
    const locks = join(bed.dir, "run/locks");
    mkdirSync(locks, { recursive: true });
    const holder = spawn("flock", ["-n", join(locks, name), "sh", "-c", "echo held; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
    await once(holder.stdout, "data");
    const task = await bed.ask("first");
    const phase = await waitUntil("the wait for the lock", async () => {
      const { progress } = (await bed.task(task)) ?? {};
      return progress?.phase.startsWith("waiting") === true && progress.phase;
    });
    assert.match(phase, /waiting: Cannot lock sqlite:.*another program holds it/);
    // Others are not held up by it.
    assert.equal((await bed.end(await bed.ask("other"))).state, "done");
    assert.deepEqual(findTaskProcesses(task), []);
    holder.stdin.end();
    assert.equal((await bed.end(task)).state, "done");
  });

  test("a request joins the one that waits, never the one that runs: no snapshot is older than its request", async () => {
    await using bed = await createRunBed(jobs);
    await bed.start();
    const running = await bed.ask("first");
    using frozen = await freezeTask(running);
    const next = await bed.ask("first");
    assert.notEqual(next, running);
    const joined = await bed.client.send<{ task: string; joined: string }>(
      { method: "POST", path: "/jobs/first/backups", body: {} },
      noSignal,
    );
    assert.deepEqual(joined, { task: next, joined: "joined" });
    frozen.thaw();
    await bed.end(running);
    assert.equal((await bed.end(next)).state, "done");
    assert.equal((await bed.runs()).length, 2);
    const [second, first] = await bed.runs();
    assert.ok((second?.startedAtMs ?? 0) >= (first?.finishedAtMs ?? Infinity));
  });

  test("a waiting request is cancelled at once, a running one ends with all its processes; both are told", async () => {
    await using bed = await createRunBed(`  slow: { datastores: [large], destination: local, compression: { method: zstd, level: 19 } }\n`);
    await writeLargeFile(bed, 150);
    await bed.start();
    const running = await bed.ask("slow");
    const waiting = await bed.ask("slow", { note: "later" });
    await bed.client.send({ method: "DELETE", path: `/tasks/${waiting}` }, noSignal);
    assert.equal((await bed.end(waiting)).state, "cancelled");
    await waitUntil("something hidden at the destination", () => bed.stored("slow").length > 0);
    await bed.client.send({ method: "DELETE", path: `/tasks/${running}` }, noSignal);
    const { state, error } = await bed.end(running);
    assert.deepEqual([state, error?.code], ["cancelled", "cancelled"]);
    assert.deepEqual(findTaskProcesses(running), []);
    assert.deepEqual([bed.stored("slow"), bed.staged()], [[], []]);
    await assert.rejects(
      bed.client.send({ method: "DELETE", path: `/tasks/${running}` }, noSignal),
      (thrown) => thrown instanceof HoldfastError && thrown.code === "conflict",
    );
  });

  test("a run that takes longer than maxDuration ends as a group, even when its worker no longer listens", async () => {
    await using bed = await createRunBed(`  first: { datastores: [one], destination: local, maxDuration: 1s, retry: { attempts: 1 } }\n`);
    await bed.start();
    const task = await bed.ask("first");
    using _frozen = await freezeTask(task);
    const { state, error } = await bed.end(task);
    assert.deepEqual([state, error?.code], ["failed", "timeout"]);
    assert.deepEqual(findTaskProcesses(task), []);
    assert.deepEqual(bed.staged(), []);
  });
});
