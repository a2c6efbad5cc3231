import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { StoredEntry } from "../contract.ts";

export interface Ownership {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Writes a stored file under a name that must be free, durable when it returns. Its attributes are set on the open file, never by path. */
export async function writeStaged(
  entry: StoredEntry,
  path: string,
  ownership: Ownership | undefined,
  report: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    let bytes = 0;
    for await (const chunk of entry.open(signal)) {
      signal.throwIfAborted();
      await file.writeFile(chunk);
      bytes += chunk.length;
      report(bytes);
    }
    if (ownership !== undefined) {
      if (process.geteuid?.() === 0) await file.chown(ownership.uid, ownership.gid);
      await file.chmod(ownership.mode & 0o777);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}
