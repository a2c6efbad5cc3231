import { open, type FileHandle } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

const pauseMs = 100;

/**
 * Pushes a growing copy to the disk while it is being written, so that the fsync at its end, during which the source may still be
 * locked, has little left to do. For a private copy only: closing its descriptor drops this process's SQLite locks on it.
 */
export function openWriteback(path: string): AsyncDisposable {
  const stop = new AbortController();
  const running = pushUntil(path, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

async function pushUntil(path: string, signal: AbortSignal): Promise<void> {
  let file: FileHandle | undefined;
  try {
    while (!signal.aborted) {
      file ??= await open(path, "r").catch(() => undefined);
      // A failure here is not lost: SQLite's own fsync of the same file reports it, and so does the one after the examination.
      await file?.datasync().catch(() => undefined);
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    await file?.close();
  }
}
