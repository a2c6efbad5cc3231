import { resolveIdentity } from "../../base/identity.ts";
import { findCompanions, findFile } from "./database-files.ts";
import { findUsers } from "./find-users.ts";
import type { SqliteOptions } from "./options.ts";
import { runChild } from "./run-child.ts";
import { readSourceFile } from "../sqlite-files/source-file.ts";

/** A larger one in rollback-journal mode would keep its writers waiting while a table is counted. */
const mostLockedBytes = 64 << 20;

/**
 * Rows per table of what is there now. Undefined where looking would change something (a WAL or journal that nobody has open would be
 * worked into the database) or hold writers up.
 */
export async function countTarget(
  configured: string,
  options: SqliteOptions,
  signal: AbortSignal,
): Promise<Readonly<Record<string, number>> | undefined> {
  const source = await readSourceFile(configured);
  if (source === undefined) return undefined;
  const database = await findFile(source.realPath);
  const companions = await findCompanions(source.realPath);
  const { pids } = await findUsers([...(database === undefined ? [] : [database]), ...companions]);
  if (pids.length === 0 && companions.some(({ bytes }) => bytes > 0)) return undefined;
  if (pids.length > 0 && !source.wal && source.bytes > mostLockedBytes) return undefined;
  const identity = await resolveIdentity(options.runAs, source.attributes, signal);
  return await runChild(
    { op: "count", path: source.realPath, busyTimeoutMs: Math.min(options.busyTimeoutMs, 1_000) },
    { identity },
    signal,
  );
}
