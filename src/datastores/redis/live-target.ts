import { describeBytes } from "../../base/describe-amount.ts";
import { HoldfastError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { openConnection } from "./connection.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { isLoopback, type Endpoint } from "./endpoint.ts";
import type { RedisOptions } from "./options.ts";
import type { RdbScan } from "./scan-rdb.ts";
import { describeVersion, readInfo, readSetting, readVersion, type Info, type ServerVersion } from "./server-facts.ts";

/** A running server that is to be restored into. */
export interface LiveTarget {
  readonly info: Info;
  readonly version: ServerVersion;
}

/** The same server by its connection for restores. */
export function chooseTargetOptions(options: RedisOptions): RedisOptions {
  if (options.restoreConnection === undefined) return options;
  const { url: _url, host: _host, port: _port, socket: _socket, user: _user, password: _password, tls: _tls, ...rest } = options;
  return { ...rest, ...options.restoreConnection };
}

/**
 * Connects to a server that is to be restored into; undefined when it is stopped and its files are known, which are replaced then.
 * @throws source-missing when it is stopped and nothing can be done
 */
export async function openTarget(options: RedisOptions, endpoint: Endpoint, signal: AbortSignal): Promise<RedisConnection | undefined> {
  if (options.rdbPath === undefined) return openConnection(endpoint, options.waitFor, signal);
  try {
    return await openConnection(endpoint, 0, signal);
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    if (error.code === "source-missing") return undefined;
    if (error.code === "source-locked") return openConnection(endpoint, options.waitFor, signal);
    throw error;
  }
}

/** A server that start commands have started, once it has loaded its data; undefined where none answers us. */
export async function openStarted(options: RedisOptions, endpoint: Endpoint, signal: AbortSignal): Promise<RedisConnection | undefined> {
  try {
    return await openConnection(endpoint, options.waitFor, signal);
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    if (error.code === "source-locked") return openConnection(endpoint, options.syncTimeout, signal);
    if (error.code === "source-missing" || error.code === "source-unreadable") return undefined;
    throw error;
  }
}

/** @throws refused, with the reason, for a server whose data cannot or must not be replaced live */
export async function readLiveTarget(connection: RedisConnection): Promise<LiveTarget> {
  const info = await readInfo(connection, "server", "replication", "cluster", "keyspace", "memory", "clients", "stats", "persistence");
  if (info.get("cluster_enabled") === "1" || info.get("redis_mode") === "cluster") {
    throw createRefusal(
      connection,
      "it is a node of a cluster: one RDB holds one node's part, and the others would not know of it",
      "Restore into a single server, then move the keys with the cluster's own tools.",
    );
  }
  if (info.get("redis_mode") === "sentinel")
    throw createRefusal(connection, "it is a Sentinel, which holds no data", "Name the server itself.");
  return { info, version: readVersion(info) };
}

/** A server that is the replica of another one, or watched by Sentinel, would lose what it is given. @throws refused */
export async function refuseManaged(connection: RedisConnection, { info }: LiveTarget): Promise<void> {
  if (info.get("role") === "slave") {
    throw createRefusal(
      connection,
      `it is a replica of ${info.get("master_host") ?? ""}:${info.get("master_port") ?? ""}`,
      "Restore into its master.",
    );
  }
  const clients = await connection.call("CLIENT", "LIST").catch(() => "");
  if (/\bname=sentinel-/.test(String(clients))) {
    throw createRefusal(
      connection,
      "it is watched by Sentinel, which would take it for failed while it is loaded",
      "Take it out of Sentinel first (SENTINEL REMOVE on each), restore, then have it monitored again.",
    );
  }
}

/** @throws refused for an RDB that the server cannot read, by its version */
export function refuseUnreadable(where: string, version: ServerVersion, scan: Pick<RdbScan, "family" | "version" | "aux">): void {
  const newer = scan.version > version.rdbVersion;
  // Up to version 11 both families have one format.
  const foreign = scan.version > 11 && scan.family !== version.family;
  if (!newer && !foreign) return;
  const made = scan.aux.get("valkey-ver") ?? scan.aux.get("redis-ver");
  throw new HoldfastError(
    "refused",
    `the RDB has version ${scan.version}${made === undefined ? "" : ` (${scan.family === "valkey" ? "Valkey" : "Redis"} ${made})`}, and the server at ${where}, ${describeVersion(version)}, reads up to ${version.rdbVersion}`,
    { hint: "Restore into a server of at least the version that the backup was made from." },
  );
}

/** What comes from a private server must be of kinds that that one knows. @throws refused */
export async function refuseUnfit(connection: RedisConnection, target: LiveTarget, scan: RdbScan): Promise<void> {
  await refuseUnloadable(connection, target, scan);
  if (scan.moduleTypes.length === 0) return;
  const types = scan.moduleTypes.join(", ");
  const why = `the backup has values of modules (${types}), and private servers here load no modules`;
  throw createRefusal(
    connection,
    why,
    "Set rdbPath and stop the server by a stop hook: then its files are replaced; it needs the modules itself.",
  );
}

/** What is in the RDB must have room in the server: some of this would end it. @throws refused */
export async function refuseUnloadable(connection: RedisConnection, { info, version }: LiveTarget, scan: RdbScan): Promise<void> {
  refuseUnreadable(connection.where, version, scan);
  const databases = Number(await readSetting(connection, "databases").catch(() => undefined));
  const last = Math.max(-1, ...scan.databases.keys());
  if (last >= databases) {
    const why = `the backup has a database ${last}, and it has ${databases} (its setting databases)`;
    throw createRefusal(connection, why, "Raise databases in its config and restart it.");
  }
  const [limit, used] = [Number(info.get("maxmemory") ?? 0), Number(scan.aux.get("used-mem") ?? 0)];
  if (limit > 0 && used > limit * memoryTolerance) {
    const why = `the backup is of a server that used ${describeBytes(used)}, and its maxmemory is ${describeBytes(limit)}: it would throw keys away`;
    throw createRefusal(connection, why, "Raise its maxmemory.");
  }
}

/** A server that is used as a cache stands at its limit, or just above. */
const memoryTolerance = 1.2;

/** Of its limit; what a cache may lie above it when it has just been loaded. */
const evictionTolerance = 1.05;

/** A replica keeps what is above its limit, and throws it away as soon as it is a master. @throws restore-failed before it is one */
export async function refuseEviction(connection: RedisConnection): Promise<void> {
  const info = await readInfo(connection, "memory");
  const limit = Number(info.get("maxmemory") ?? 0);
  const counted = Number(info.get("used_memory") ?? 0) - Number(info.get("mem_not_counted_for_evict") ?? 0);
  if (limit === 0 || info.get("maxmemory_policy") === "noeviction" || counted <= limit * evictionTolerance) return;
  throw new HoldfastError(
    "restore-failed",
    `the backup needs ${describeBytes(counted)} in the server at ${connection.where}, and its maxmemory is ${describeBytes(limit)}: it would throw keys away`,
    { hint: "Raise its maxmemory, then restore again." },
  );
}

function createRefusal({ where }: RedisConnection, why: string, hint: string): HoldfastError {
  return new HoldfastError("refused", `the server at ${where} cannot be restored into: ${why}`, { hint });
}

/** By which address the target can reach a private server of ours, and on which one that must listen. */
export interface Reachability {
  readonly bind: string;
  readonly announce: string;
}

/** @throws refused where it cannot be known */
export function findReachability(options: RedisOptions, endpoint: Endpoint, connection: RedisConnection): Reachability {
  const reach = guessReachability(options, endpoint, connection);
  if (reach !== undefined) return reach;
  throw createRefusal(
    connection,
    "it must fetch its new data from a private server here, and by which address it can reach this machine is not known",
    "Set announce to that address; or set rdbPath and stop the server by a stop hook: then its files are replaced.",
  );
}

/** Whether a server that runs now is to be restored by its files: it cannot reach us, and a stop command is going to stop it. */
export function awaitsStop(
  options: RedisOptions,
  endpoint: Endpoint,
  connection: RedisConnection,
  application: "stopped" | "may-run" | undefined,
): boolean {
  return application !== "may-run" && options.rdbPath !== undefined && guessReachability(options, endpoint, connection) === undefined;
}

function guessReachability(options: RedisOptions, endpoint: Endpoint, connection: RedisConnection): Reachability | undefined {
  const { announce } = options;
  if (announce !== undefined) return { announce, bind: isLoopback(announce) ? "127.0.0.1" : "0.0.0.0" };
  if (endpoint.via === undefined && ("socket" in endpoint.place || isLoopback(endpoint.place.host)))
    return { announce: "127.0.0.1", bind: "127.0.0.1" };
  const own = connection.localAddress;
  return own === undefined ? undefined : { announce: own, bind: own };
}

/** How a target is made to follow a private server, with the credentials that it has already where it has some. */
export interface Following {
  readonly user: string | undefined;
  readonly password: Secret;
  /** The target has no password for masters: it is given one, and it is taken away again. */
  readonly setPassword: boolean;
  /** The target speaks TLS to masters: that is turned off for the time, on the loopback only. */
  readonly setPlain: boolean;
  /** Replicas take writes there: what clients are acknowledged would be lost, so that is turned off for the time. */
  readonly setReadOnly: boolean;
}

/** @throws refused for a target that speaks TLS to its masters over a network */
export async function planFollowing(connection: RedisConnection, { announce }: Reachability, fresh: Secret): Promise<Following> {
  const present = await readSetting(connection, "masterauth");
  const user = await readSetting(connection, "masteruser");
  const plain = (await readSetting(connection, "tls-replication")) !== "yes";
  if (!plain && !isLoopback(announce)) {
    throw createRefusal(
      connection,
      "it speaks TLS to its masters (tls-replication yes), and its data would cross the network without",
      "Set rdbPath and stop the server by a stop hook, or set tls-replication to no for the time of the restore.",
    );
  }
  const has = present !== undefined && present !== "";
  return {
    user: user === undefined || user === "" ? undefined : user,
    password: has ? new Secret(present) : fresh,
    setPassword: !has,
    setPlain: !plain,
    setReadOnly: (await readSetting(connection, "replica-read-only")) === "no",
  };
}
