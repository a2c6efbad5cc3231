import { writeSync } from "node:fs";
import { readErrno } from "../base/errors.ts";

const maxWaitingBytes = 1 << 20;
const retryMs = 50;

/**
 * Writes whole lines to a descriptor before it returns, so that a crash loses none. Where the reader does not keep up (EAGAIN) lines wait
 * in memory up to a limit, then are dropped and counted; where it is gone (EPIPE) they are dropped. Never throws.
 */
export class LogWriter implements Disposable {
  readonly #descriptor: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #flushAtExit = (): void => this.#drain();

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
    process.on("exit", this.#flushAtExit);
  }

  /** @param line with its line end */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#waitingBytes + bytes.length > maxWaitingBytes) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#drain();
  }

  /** How many lines were dropped since it was last asked; zeroes the count. */
  takeDropped(): number {
    const count = this.#dropped;
    if (this.#waitingBytes === 0) this.#dropped = 0;
    return this.#waitingBytes === 0 ? count : 0;
  }

  #drain(): void {
    clearTimeout(this.#timer);
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const rest = this.#push(next);
      this.#waitingBytes -= next.length - rest.length;
      if (rest.length === 0) continue;
      this.#waiting.unshift(rest);
      this.#timer = setTimeout(() => this.#drain(), retryMs).unref();
      return;
    }
  }

  /** What could not be written now. */
  #push(bytes: Buffer): Buffer {
    let rest = bytes;
    try {
      while (rest.length > 0) rest = rest.subarray(writeSync(this.#descriptor, rest));
    } catch (error) {
      if (readErrno(error) === "EAGAIN") return rest;
      this.#dropped += 1;
      return rest.subarray(rest.length);
    }
    return rest;
  }

  [Symbol.dispose](): void {
    this.#drain();
    clearTimeout(this.#timer);
    process.off("exit", this.#flushAtExit);
  }
}
