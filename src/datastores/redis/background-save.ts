import { constants } from "node:fs";
import { open, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { describeCause, HoldfastError, readErrno } from "../../base/errors.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { readRefusal } from "./explain-error.ts";
import { readRdbHeader } from "./scan-rdb.ts";
import { readInfo, readServerSeconds, readSetting, type Info } from "./server-facts.ts";

const pollMs = 50;

/** The server's RDB file as this machine sees it; undefined where the server does not say. */
export async function locateRdb(connection: RedisConnection, rdbPath: string | undefined): Promise<string | undefined> {
  if (rdbPath !== undefined) return rdbPath;
  const [directory, name] = [await readSetting(connection, "dir"), await readSetting(connection, "dbfilename")];
  return directory === undefined || name === undefined ? undefined : join(directory, name);
}

/** A file that the server has saved for us. It is held open: a later save takes its name, not its bytes. */
export interface SavedRdb extends AsyncDisposable {
  readonly file: FileHandle;
  readonly bytes: number;
}

/** A save that the server has begun for us: what is written to the server from now on is not in it. */
export interface BegunSave {
  /** Waits for its end, and opens the file. */
  finish(signal: AbortSignal): Promise<SavedRdb>;
}

/**
 * Waits for a save that is going on, then has the server make one of our own, and opens the file.
 * @throws source-unreadable when the save fails or its file is not there; source-changed when the file is older than the request; timeout
 */
export async function saveInBackground(
  connection: RedisConnection,
  path: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<SavedRdb> {
  return await (await beginSave(connection, path, { timeoutMs, later: "good" }, signal)).finish(signal);
}

/**
 * Returns when the server has forked for the save.
 * @param later whether the file of a later save, which somebody else has made meanwhile, is as good
 */
export async function beginSave(
  connection: RedisConnection,
  path: string,
  { timeoutMs, later }: { readonly timeoutMs: number; readonly later: "good" | "refused" },
  signal: AbortSignal,
): Promise<BegunSave> {
  // The clock that a server dates its files by lags some milliseconds behind the one that it tells (CLOCK_REALTIME_COARSE), so one second is
  // forgiven: that the save is a new one is known by its count, and that the file is, by its inode.
  const askedAtSeconds = (await readServerSeconds(connection)) - 1;
  const limitMs = performance.now() + timeoutMs;
  await waitForChildren(connection, limitMs, signal);
  const former = await identifyFile(path);
  const before = await startSave(connection, limitMs, signal);
  const finish = async (inner: AbortSignal): Promise<SavedRdb> => {
    const after = await waitForChildren(connection, limitMs, inner);
    if (after.get("rdb_last_bgsave_status") !== "ok") {
      throw new HoldfastError("source-unreadable", "the server's background save failed; its log says why", {
        hint: "Usual reasons: its directory is not writable or its disk full; or it may not fork (vm.overcommit_memory, a memory limit).",
      });
    }
    const savedAtSeconds = Number(after.get("rdb_last_save_time"));
    if (!(savedAtSeconds >= askedAtSeconds) || !hasSaved(before, after)) {
      throw new HoldfastError("source-changed", "the server has not made a background save of its own since it was asked to", {
        hint: "Was it restarted meanwhile? Run it again.",
      });
    }
    const saved = await openFresh(path, former, askedAtSeconds, after);
    try {
      if (later === "refused") assertOnlySave(before, await waitForChildren(connection, limitMs, inner));
      return saved;
    } catch (error) {
      await saved[Symbol.asyncDispose]();
      throw error;
    }
  };
  return { finish };
}

/** The file of a later save has what was written after ours was begun. */
function assertOnlySave(before: Info, after: Info): void {
  const [earlier, now] = [before.get("rdb_saves"), after.get("rdb_saves")];
  if (before.get("run_id") === after.get("run_id") && (now === undefined || Number(now) === Number(earlier) + 1)) return;
  throw new HoldfastError("source-changed", "the server has made another save in place of the one that it was asked for", {
    hint: "Run it again; or set `method: replication`, which keeps no file.",
    retryable: true,
  });
}

/** A save gives the name to a new file. */
async function identifyFile(path: string): Promise<string | undefined> {
  return stat(path, { bigint: true }).then(
    ({ dev, ino, ctimeNs }) => `${dev}:${ino}:${ctimeNs}`,
    () => undefined,
  );
}

/** Servers since 7.0 count their saves. */
function hasSaved(before: Info, after: Info): boolean {
  const [earlier, later] = [before.get("rdb_saves"), after.get("rdb_saves")];
  if (before.get("run_id") !== after.get("run_id")) return false;
  return earlier === undefined || later === undefined || Number(later) > Number(earlier);
}

/** @returns what the server said just before */
async function startSave(connection: RedisConnection, limitMs: number, signal: AbortSignal): Promise<Info> {
  for (;;) {
    const before = await readInfo(connection, "persistence", "server");
    try {
      await connection.call("BGSAVE");
      return before;
    } catch (error) {
      // Another child may have started since: somebody else's save is no use, it is waited for.
      if (!/already in progress|child process is active|Another child/i.test(describeCause(error))) {
        const refusal = readRefusal(error);
        if (refusal === undefined) throw error;
        throw new HoldfastError("source-unreadable", `the server does not start a background save: ${refusal}`, {
          cause: error,
          hint: "Its log says why: usually it may not fork (vm.overcommit_memory, a limit of memory or processes). method: replication needs a fork too.",
        });
      }
      await waitForChildren(connection, limitMs, signal);
    }
  }
}

/** Waits until the server has no child that saves, and gives what it says then. */
async function waitForChildren(connection: RedisConnection, limitMs: number, signal: AbortSignal): Promise<Info> {
  for (;;) {
    const info = await readInfo(connection, "persistence", "server");
    if (info.get("rdb_bgsave_in_progress") !== "1" && info.get("aof_rewrite_in_progress") !== "1") return info;
    if (performance.now() >= limitMs)
      throw new HoldfastError("timeout", "the server's background save did not end in time", {
        hint: "Raise saveTimeout, or use method: replication.",
      });
    await pause(pollMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) throw createAbortError(signal, "waiting for the background save was given up");
  }
}

async function openFresh(path: string, former: string | undefined, askedAtSeconds: number, info: Info): Promise<SavedRdb> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: unknown) => {
    throw new HoldfastError(
      "source-unreadable",
      `the server has saved, but ${path} cannot be read here: ${readErrno(error) ?? describeCause(error)}`,
      {
        cause: error,
        hint: "Set rdbPath to where this machine sees the file, or method: replication.",
      },
    );
  });
  try {
    const stats = await file.stat();
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(4096), position: 0 });
    const header = readRdbHeader(buffer.subarray(0, bytesRead));
    const madeAtSeconds = Number(header?.get("ctime"));
    const same = former !== undefined && (await identifyFile(path)) === former;
    const other =
      header?.get("repl-id") !== undefined &&
      info.get("master_replid") !== undefined &&
      header.get("repl-id") !== info.get("master_replid");
    if (!stats.isFile() || !(madeAtSeconds >= askedAtSeconds) || other || same) {
      throw new HoldfastError("source-changed", `${path} is not the file that the server has just saved`, {
        hint: "Set rdbPath to where this machine sees the server's file, or method: replication.",
        retryable: false,
      });
    }
    return { file, bytes: stats.size, [Symbol.asyncDispose]: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}
