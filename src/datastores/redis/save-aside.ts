import { constants } from "node:fs";
import { chmod, copyFile, link, lstat, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { readErrno } from "../../base/errors.ts";
import { saveInBackground, type SavedRdb } from "./background-save.ts";
import { scanRdbFile, syncFile, writeAndScan } from "./check-rdb.ts";
import { openCurrentSave, type SaveMark } from "./current-save.ts";
import { chooseMethod } from "./dump.ts";
import type { Endpoint } from "./endpoint.ts";
import type { RedisOptions } from "./options.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { streamReplication } from "./replication-stream.ts";
import { readServerSeconds } from "./server-facts.ts";

export interface AsideSource {
  readonly options: RedisOptions;
  readonly endpoint: Endpoint;
  /** Before the pre-restore backup: a save that the server has made since is as good as one more, if nothing was written after it. */
  readonly mark: SaveMark | undefined;
}

/** Writes what a running server holds to a file of ours and reads it once; a file of that name is whole and on the disk. */
export async function saveAside(
  { options, endpoint, mark }: AsideSource,
  connection: RedisConnection,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const draft = `${path}.part`;
  try {
    const { method } = await chooseMethod(options, endpoint, connection, signal);
    if (method.kind === "bgsave") {
      const { file } = method;
      await using current = mark === undefined ? undefined : await openCurrentSave(connection, file, mark);
      if (current === undefined) {
        await using saved = await saveInBackground(connection, file, options.saveTimeout, signal);
        await copySaved(saved, draft);
      } else if (!(await linkSaved(current, file, draft))) await copySaved(current, draft);
      const results = await Promise.allSettled([syncFile(draft), scanRdbFile(draft, Date.now(), signal)]);
      for (const result of results) if (result.status === "rejected") throw result.reason;
    } else {
      const askedAtSeconds = await readServerSeconds(connection);
      await writeAndScan(streamReplication(endpoint, askedAtSeconds, signal), draft);
      await syncFile(draft);
    }
    await rename(draft, path);
    await syncDirectory(dirname(path));
  } finally {
    await rm(draft, { force: true });
  }
}

async function copySaved({ file }: SavedRdb, draft: string): Promise<void> {
  await copyFile(`/proc/${process.pid}/fd/${file.fd}`, draft, constants.COPYFILE_EXCL);
  await chmod(draft, 0o600);
}

/**
 * One more name for the server's file, which it never writes to again: each save is a new file. False where that cannot be: another file
 * system, no right to, or a file that has just lost its name to a later save.
 */
async function linkSaved({ file }: SavedRdb, path: string, draft: string): Promise<boolean> {
  try {
    await link(path, draft);
  } catch (error) {
    if (["EXDEV", "EPERM", "EACCES", "EMLINK", "ENOENT", "EROFS", "EOPNOTSUPP"].includes(readErrno(error) ?? "")) return false;
    throw error;
  }
  const [linked, opened] = [await lstat(draft, { bigint: true }), await file.stat({ bigint: true })];
  if (linked.dev === opened.dev && linked.ino === opened.ino) return true;
  await rm(draft);
  return false;
}
