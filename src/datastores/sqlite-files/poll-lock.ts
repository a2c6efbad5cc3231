import { readErrno } from "../../base/errors.ts";
import { blockFor } from "./block.ts";

const pollMs = 1;

/**
 * Repeats a read until it gets its lock. SQLite's own busy handler looks again ever more rarely, up to 100 ms apart, and so misses the
 * short gaps that an application leaves which writes without pause. Blocks the process; throws SQLite's error after `timeoutMs`.
 */
export function pollLock<T>(timeoutMs: number, read: () => T): T {
  const deadlineAt = performance.now() + timeoutMs;
  for (;;) {
    try {
      return read();
    } catch (error) {
      if (!(readErrno(error) ?? "").startsWith("SQLITE_BUSY") || performance.now() > deadlineAt) throw error;
    }
    blockFor(pollMs);
  }
}
