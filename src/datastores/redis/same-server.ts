import { HoldfastError } from "../../base/errors.ts";
import { openConnection } from "./connection.ts";
import { isEmpty } from "./dump.ts";
import { resolveEndpoint } from "./endpoint.ts";
import type { RedisOptions } from "./options.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { readInfo, type Info } from "./server-facts.ts";

/**
 * What is there is saved first, by the connection of backups: where `restoreConnection` leads to another server, nothing would have its data.
 * A replica of the server does as well.
 * @param unreachable what a connection of backups that does not answer means: before anything is saved nothing, saving will fail
 * @param target undefined for a server that is stopped
 * @throws target-unsafe
 */
export async function requireSaved(
  options: RedisOptions,
  target: RedisConnection | undefined,
  unreachable: "ignore" | "fail",
  signal: AbortSignal,
): Promise<void> {
  if (options.restoreConnection === undefined || (target !== undefined && (await isEmpty(target)))) return;
  let saved: Info;
  try {
    await using backup = await openConnection(resolveEndpoint(options), 0, signal);
    saved = await readInfo(backup, "server", "replication");
  } catch (error) {
    if (signal.aborted || unreachable === "fail") throw error;
    return;
  }
  if (target !== undefined && isSame(saved, await readInfo(target, "server", "replication"))) return;
  throw new HoldfastError(
    "target-unsafe",
    `restoreConnection leads to ${target === undefined ? "a server that is stopped" : `the server at ${target.where}`}, which is not the one that is backed up: its data would be lost`,
    {
      hint: "Write into restoreConnection by which host or socket that server is reached: nothing of it is taken from the datastore. To fill another server empty it first, or restore with a datastore that backs it up.",
    },
  );
}

/** A run has an id of its own, which no copy of its files has. */
function isSame(saved: Info, target: Info): boolean {
  if (saved.get("run_id") === target.get("run_id")) return true;
  const follows = saved.get("role") === "slave" && saved.get("master_link_status") === "up";
  return follows && saved.get("master_replid") === target.get("master_replid");
}
