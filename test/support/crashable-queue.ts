import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Queue } from "../../src/queue/contract.ts";
import { openQueue } from "../../src/queue/open-queue.ts";

/** In memory where there is such a place: these queues prove logic, not fsync. */
const root = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** The real queue, with its crashes: after one, the files as they lay on disk at that moment are opened by a new one. */
export class CrashableQueue {
  nowMs = 0;
  queue: Queue;
  readonly #root = mkdtempSync(join(root, "holdfast-queue-"));
  #path = join(this.#root, "0.db");
  #lives = 0;
  readonly #concurrency: number;

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
    this.queue = this.#open("create");
  }

  crash(): void {
    this.#lives += 1;
    const next = join(this.#root, `${this.#lives}.db`);
    for (const suffix of ["", "-wal"]) if (existsSync(this.#path + suffix)) copyFileSync(this.#path + suffix, next + suffix);
    this.queue[Symbol.dispose]();
    this.#path = next;
    this.queue = this.#open("refuse");
  }

  remove(): void {
    this.queue[Symbol.dispose]();
    rmSync(this.#root, { recursive: true });
  }

  #open(whenMissing: "create" | "refuse"): Queue {
    return openQueue({
      path: this.#path,
      clock: { now: () => this.nowMs, monotonic: () => this.nowMs },
      concurrency: this.#concurrency,
      whenMissing,
    });
  }
}
