import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError } from "../../base/errors.ts";
import { describeDuration } from "../../base/parse-duration.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { RedisConnection } from "./redis-connection.ts";
import type { Following } from "./live-target.ts";
import type { WritePause } from "./pause-writes.ts";
import type { ScratchServer } from "./scratch-server.ts";
import { parseKeyspace, readInfo, type Keyspace } from "./server-facts.ts";

const pollMs = 20;
/** For the target to get through to the private server at all. */
const reachMs = 20_000;
const equalMs = 10_000;

export interface FollowSettings {
  readonly announce: string;
  readonly following: Following;
  readonly syncTimeoutMs: number;
  /** Ended as soon as the target is read-only: what has waited is refused then. */
  readonly pause: WritePause;
}

/** Makes the target take over everything that the private server holds. It is read-only for its clients from now on. */
export async function followScratch(
  target: RedisConnection,
  scratch: ScratchServer,
  { announce, following, syncTimeoutMs, pause }: FollowSettings,
  signal: AbortSignal,
): Promise<void> {
  if (following.setPassword) await target.call("CONFIG", "SET", "masterauth", following.password.reveal());
  if (following.setPlain) await target.call("CONFIG", "SET", "tls-replication", "no");
  if (following.setReadOnly) await target.call("CONFIG", "SET", "replica-read-only", "yes");
  pause.assertHeld();
  await target.call("REPLICAOF", announce, String(scratch.port));
  await pause[Symbol.asyncDispose]();
  await waitForSync(target, scratch, `${announce}:${scratch.port}`, syncTimeoutMs, signal);
  await waitUntilEqual(target, scratch, signal);
}

async function waitForSync(
  target: RedisConnection,
  scratch: ScratchServer,
  master: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const startedMs = performance.now();
  let attempts = 0;
  let syncing = false;
  for (;;) {
    const info = await readInfo(target, "replication");
    if (info.get("role") !== "slave") throw createTakenError(target);
    if (info.get("master_link_status") === "up") return;
    const now = info.get("master_sync_in_progress") === "1";
    if (now && !syncing) attempts += 1;
    syncing = now;
    const passedMs = performance.now() - startedMs;
    if (attempts === 0 && passedMs > Math.min(reachMs, timeoutMs)) throw await createUnreachableError(target, scratch, master);
    if (attempts > 2) {
      throw new HoldfastError("restore-failed", `the server at ${target.where} cannot load what it was sent; its log says why`, {
        hint: "Usual reasons: it is older than the private server that sends it, lacks a module, or has too little memory or disk.",
      });
    }
    if (passedMs > timeoutMs)
      throw new HoldfastError("timeout", `the server at ${target.where} did not load the data within ${describeDuration(timeoutMs)}`, {
        hint: "Raise syncTimeout.",
      });
    await wait(signal);
  }
}

async function createUnreachableError(target: RedisConnection, scratch: ScratchServer, master: string): Promise<HoldfastError> {
  const came = Number((await readInfo(scratch.connection, "stats")).get("total_connections_received") ?? 0) > 1;
  const why = came ? "it reaches it, and ends the connection: its log says why" : `it cannot reach it at ${master}`;
  return new HoldfastError("restore-failed", `the server at ${target.where} does not fetch its data from the private server here: ${why}`, {
    hint: "Set announce (and announcePort) to an address by which it can reach this machine; or set rdbPath and stop the server by a stop hook: then its files are replaced.",
  });
}

/** Keys may go by their time on the way: both are asked until they say the same. */
async function waitUntilEqual(target: RedisConnection, scratch: ScratchServer, signal: AbortSignal): Promise<void> {
  const limitMs = performance.now() + equalMs;
  for (;;) {
    const expected = parseKeyspace(await readInfo(scratch.connection, "keyspace"));
    const found = parseKeyspace(await readInfo(target, "keyspace"));
    const difference = describeDifference(expected, found);
    if (difference === undefined) return;
    if (performance.now() > limitMs)
      throw new HoldfastError("restore-failed", `the server at ${target.where} has not taken over all data: ${difference}`);
    await wait(signal);
  }
}

function describeDifference(expected: ReadonlyMap<number, Keyspace>, found: ReadonlyMap<number, Keyspace>): string | undefined {
  for (const index of new Set([...expected.keys(), ...found.keys()])) {
    const one = expected.get(index) ?? { keys: 0, expires: 0 };
    const other = found.get(index) ?? { keys: 0, expires: 0 };
    if (one.keys !== other.keys || one.expires !== other.expires) return `database ${index} has ${other.keys} keys instead of ${one.keys}`;
  }
  return undefined;
}

/** Makes the server a master again, with its settings as they were. Idempotent. */
export async function promote(
  target: RedisConnection,
  { setPassword, setPlain, setReadOnly }: Pick<Following, "setPassword" | "setPlain"> & Partial<Pick<Following, "setReadOnly">>,
): Promise<void> {
  await target.call("REPLICAOF", "NO", "ONE");
  if (setPassword) await target.call("CONFIG", "SET", "masterauth", "");
  if (setPlain) await target.call("CONFIG", "SET", "tls-replication", "yes");
  if (setReadOnly === true) await target.call("CONFIG", "SET", "replica-read-only", "no");
}

function createTakenError({ where }: RedisConnection): HoldfastError {
  return new HoldfastError("restore-failed", `the server at ${where} was made a master again by somebody else while it was restored`);
}

async function wait(signal: AbortSignal): Promise<void> {
  await delay(pollMs, undefined, { signal }).catch(() => undefined);
  if (signal.aborted) throw createAbortError(signal, "the restore was given up");
}
