import { HoldfastError } from "../../base/errors.ts";
import { openFresh, type SavedRdb } from "./background-save.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { readInfo, readServerSeconds, type Info } from "./server-facts.ts";

/** A server's data and its saves as they were at one moment. */
export interface SaveMark {
  readonly runId: string;
  readonly replicationId: string;
  /** Since it was started. */
  readonly saves: number;
  /** By the server's clock, and by ours. */
  readonly atSeconds: number;
  readonly atMs: number;
}

/** Undefined for servers before 7.0, which do not count their saves. */
export async function markSaves(connection: RedisConnection): Promise<SaveMark | undefined> {
  const info = await readInfo(connection, "persistence", "server", "replication");
  const saves = info.get("rdb_saves");
  if (saves === undefined) return undefined;
  return {
    runId: info.get("run_id") ?? "",
    replicationId: info.get("master_replid") ?? "",
    saves: Number(saves),
    atSeconds: await readServerSeconds(connection),
    atMs: Date.now(),
  };
}

/**
 * The file of a save that was made since the mark, if nothing has been written since that save was begun: it holds what the server holds.
 * What a master sends is no write of a client, and changes the id of the data; what goes by its time goes again when the file is loaded.
 */
export async function openCurrentSave(connection: RedisConnection, path: string, mark: SaveMark): Promise<SavedRdb | undefined> {
  const info = await readInfo(connection, "persistence", "server", "replication");
  if (!isCurrent(info, mark)) return undefined;
  try {
    const saved = await openFresh(path, undefined, mark.atSeconds - 1, info);
    // Somebody may have given its name to an older one, of the same second.
    if ((await saved.file.stat()).mtimeMs >= mark.atMs) return saved;
    await saved[Symbol.asyncDispose]();
    return undefined;
  } catch (error) {
    // The server has been told another place for its file meanwhile.
    if (error instanceof HoldfastError && ["source-changed", "source-unreadable"].includes(error.code)) return undefined;
    throw error;
  }
}

function isCurrent(info: Info, { runId, replicationId, saves }: SaveMark): boolean {
  return (
    info.get("run_id") === runId &&
    info.get("role") === "master" &&
    info.get("master_replid") === replicationId &&
    Number(info.get("rdb_saves")) > saves &&
    info.get("rdb_bgsave_in_progress") === "0" &&
    info.get("rdb_last_bgsave_status") === "ok" &&
    info.get("rdb_changes_since_last_save") === "0"
  );
}
