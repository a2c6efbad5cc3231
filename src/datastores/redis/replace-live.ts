import { randomBytes } from "node:crypto";
import { HoldfastError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import type { SwapStep } from "../contract.ts";
import type { RedisConnection } from "./redis-connection.ts";
import type { Endpoint } from "./endpoint.ts";
import { followScratch } from "./follow.ts";
import { findReachability, planFollowing, type Following, type LiveTarget, type Reachability } from "./live-target.ts";
import type { RedisOptions } from "./options.ts";
import type { WritePause } from "./pause-writes.ts";
import { openScratchServer, type ScratchServer, type ScratchSettings } from "./scratch-server.ts";
import { compareVersions, describeVersion, readInfo, type Info } from "./server-facts.ts";
import { describeSource } from "./source-address.ts";
import type { ReplaceStep } from "./swap-steps.ts";

/** A private server with the new data, to which a target can be attached. Closing it ends the private server. */
export interface Feed extends AsyncDisposable {
  readonly scratch: ScratchServer;
  readonly reach: Reachability;
  readonly following: Following;
}

/** Loads the data into a private server that the target may reach. Changes nothing at the target. @throws refused */
export async function openFeed(
  options: RedisOptions,
  endpoint: Endpoint,
  connection: RedisConnection,
  settings: Pick<ScratchSettings, "directory" | "rdb">,
  signal: AbortSignal,
): Promise<Feed> {
  return openFeedAt(findReachability(options, endpoint, connection), options.announcePort, connection, settings, signal);
}

/** The same by an address that is known already. */
export async function openFeedAt(
  reach: Reachability,
  port: number | undefined,
  connection: RedisConnection,
  settings: Pick<ScratchSettings, "directory" | "rdb">,
  signal: AbortSignal,
): Promise<Feed> {
  const following = await planFollowing(connection, reach, new Secret(randomBytes(24).toString("hex")));
  const { password, user } = following;
  const scratch = await openScratchServer({ ...settings, listener: { bind: reach.bind, port, password, user } }, signal);
  return { scratch, reach, following, [Symbol.asyncDispose]: () => scratch[Symbol.asyncDispose]() };
}

/** What the private server sends is in its own format. @throws refused for a target that is older than it */
export function refuseOlder({ version }: LiveTarget, { scratch }: Feed, { where }: RedisConnection): void {
  if (version.rdbVersion >= scratch.version.rdbVersion) return;
  throw new HoldfastError(
    "refused",
    `the server at ${where}, ${describeVersion(version)}, is older than the private server that would send it the data, ${describeVersion(scratch.version)}`,
    { hint: "Set rdbPath and stop the server by a stop hook: then its files are replaced; or upgrade it." },
  );
}

export interface Replacement {
  /** As it is while its clients' writes wait. */
  readonly target: LiveTarget;
  readonly feed: Feed;
  /** What the target held, whole, in a file of ours. */
  readonly aside: string;
  readonly pause: WritePause;
}

/** Makes the target hold what the feed holds, recorded before; it is a replica afterwards, to be promoted. */
export async function replaceLive(
  options: RedisOptions,
  connection: RedisConnection,
  { target, feed, aside, pause }: Replacement,
  record: (step: SwapStep) => Promise<void>,
  signal: AbortSignal,
): Promise<ReplaceStep> {
  const { scratch, reach, following } = feed;
  const { info } = target;
  const scratchId = (await readInfo(scratch.connection, "replication")).get("master_replid") ?? "";
  const step: ReplaceStep = {
    op: "replace",
    aside,
    replicationId: info.get("master_replid") ?? "",
    runId: info.get("run_id") ?? "",
    receivedBytes: readReceivedBytes(info),
    scratchId,
    announce: reach.announce,
    bind: reach.bind,
    port: scratch.port,
    setPassword: following.setPassword,
    setPlain: following.setPlain,
    setReadOnly: following.setReadOnly,
    source: describeSource(options),
  };
  await record(step);
  const { announce } = reach;
  await followScratch(connection, scratch, { announce, following, syncTimeoutMs: options.syncTimeout, pause }, signal);
  return step;
}

/** Payload of replication that a server has received since it runs; -1 where it does not count it. */
export function readReceivedBytes(info: Info): number {
  const text = info.get("total_net_repl_input_bytes");
  const known = text !== undefined && compareVersions(info.get("redis_version") ?? "0", "7.0") >= 0;
  return known ? Number(text) : -1;
}
