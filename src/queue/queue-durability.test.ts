import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { openQueue } from "./open-queue.ts";

const rounds = process.env["HOLDFAST_LONG"] === "1" ? 60 : 6;
const program = join(import.meta.dirname, "../../test/fixtures/programs/enqueue-loop.ts");

/** Runs the loop until it has acknowledged so many steps, kills it, and gives all lines that it had written by then. */
async function runUntilKilled(path: string, steps: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, [program, path], { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === steps) child.kill("SIGKILL");
  }
  await closed;
  return lines;
}

test(`F1 F5 kill -9 at any moment loses nothing that was acknowledged (${rounds} kills)`, async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-queue-"));
  const path = join(directory, "queue.db");
  openQueue({ path, clock: systemClock, concurrency: 2, whenMissing: "create" })[Symbol.dispose]();
  const acknowledged: string[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const lines = await runUntilKilled(path, 1 + ((round * 17) % 120));
    assert.ok(lines.length > 0);
    acknowledged.push(...lines);
    using queue = openQueue({ path, clock: systemClock, concurrency: 2 });
    const stateOf = new Map(queue.list().map(({ id, state }) => [id, state]));
    for (const line of acknowledged) {
      const [step, id = ""] = line.split(" ");
      const state = stateOf.get(id);
      assert.notEqual(state, undefined, `${line} is lost`);
      if (step === "claimed") assert.notEqual(state, "waiting", line);
      if (step === "done") assert.equal(state, "done", line);
    }
    assert.ok(queue.running().length <= 2);
    for (const { id } of queue.recover(systemClock.now())) assert.equal(queue.release(id).state, "interrupted");
    assert.deepEqual(queue.running(), []);
  }
  rmSync(directory, { recursive: true });
});
