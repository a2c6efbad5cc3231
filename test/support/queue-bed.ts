import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConcurrencyKey } from "../../src/base/concurrency-key.ts";
import { HoldfastError, reportError } from "../../src/base/errors.ts";
import type { EnqueueRequest, Queue } from "../../src/queue/contract.ts";
import { openQueue } from "../../src/queue/open-queue.ts";
import type { Task } from "../../src/queue/contract.ts";

/** A queue in a directory of its own. Its clock stands still unless a test moves it. */
export class QueueBed {
  readonly #directory = mkdtempSync(join(tmpdir(), "holdfast-queue-"));
  nowMs = Date.UTC(2026, 0, 1);
  queue = this.open();

  open(concurrency = 4): Queue {
    const clock = { now: () => this.nowMs, monotonic: () => this.nowMs };
    return openQueue({ path: join(this.#directory, "queue.db"), clock, concurrency, whenMissing: "create" });
  }

  add(more: Partial<EnqueueRequest> = {}): Task {
    return this.queue.enqueue(createRequest(more)).task;
  }

  claim(): Task | undefined {
    return this.queue.claimNext(this.nowMs);
  }

  /** What a daemon that was killed leaves: the file is opened again without any farewell. */
  crash(): void {
    const dead = this.queue;
    this.queue = this.open();
    dead[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.queue[Symbol.dispose]();
    rmSync(this.#directory, { recursive: true });
  }
}

export function createKey(id: string, ...paths: string[]): ConcurrencyKey {
  return { id, paths };
}

/** Of a backup that a schedule wants. */
export function createRequest(more: Partial<EnqueueRequest> = {}): EnqueueRequest {
  return {
    kind: "backup",
    payload: { datastores: ["memory"] },
    keys: [createKey("sqlite:1:1", "/srv/memory.db")],
    priority: "scheduled",
    requester: "schedule",
    ...more,
  };
}

export const retryable = reportError(new HoldfastError("timeout", "too slow"));
export const permanent = reportError(new HoldfastError("source-missing", "gone"));
export const worker = { pid: 4711, startTicks: 1234, bootId: "boot", marker: "task" };
