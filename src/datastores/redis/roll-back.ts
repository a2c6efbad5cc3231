import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { syncDirectory } from "../../base/atomic-file.ts";
import { HoldfastError } from "../../base/errors.ts";
import { prefixError } from "../../base/prefix-error.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { SwapStep } from "../contract.ts";
import { scanRdbFile } from "./check-rdb.ts";
import { openConnection } from "./connection.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { describeEndpoint, resolveEndpoint } from "./endpoint.ts";
import { identifyServer } from "./identify.ts";
import { explainRedisError } from "./explain-error.ts";
import { noteFeedPort, readFeedPorts } from "./feed-ports.ts";
import { followScratch, promote } from "./follow.ts";
import { chooseTargetOptions } from "./live-target.ts";
import { redisOptions, type RedisOptions } from "./options.ts";
import { openWritePause, type WritePause } from "./pause-writes.ts";
import { openFeedAt, readReceivedBytes } from "./replace-live.ts";
import { readInfo, type Info } from "./server-facts.ts";
import { isViaLost, readSource } from "./source-address.ts";
import { parseStep, type RedisStep, type ReplaceStep } from "./swap-steps.ts";
import { assertNothingAside, hasReplacedFiles, isThere, undoMove, undoPlace } from "./undo-files.ts";
import { removeWorkDirectory } from "./work-directory.ts";
import { waitUntilKept } from "./wait-until-kept.ts";

const pollMs = 50;

/**
 * Undoes a swap, last step first. Each step may or may not have happened, and may have been undone already. The restore's own directory
 * goes last of all: while it is there, not everything has been put back.
 * @throws restore-stuck when a server does not answer, runs on files that are to be put back, or something else has taken a name that is
 *   needed
 */
export async function rollBackSwap(steps: readonly SwapStep[], signal: AbortSignal, options: RedisOptions | undefined): Promise<void> {
  const known = steps.map(parseStep);
  try {
    if (await hasReplacedFiles(known)) await assertStopped(known, options, signal);
    for (const step of known.toReversed()) await undoStep(step, known, signal, options);
  } catch (error) {
    throw prefixError("Cannot roll back the restore", explainRedisError(error, "its address"), { "source-missing": "restore-stuck" });
  }
}

async function undoStep(
  step: RedisStep,
  steps: readonly RedisStep[],
  signal: AbortSignal,
  options: RedisOptions | undefined,
): Promise<void> {
  switch (step.op) {
    case "stage":
      await assertNothingAside(step.path);
      return removeWorkDirectory(step.path);
    case "replace":
      return undoReplace(step, options, signal);
    case "place":
      return undoPlace(step, steps);
    case "move":
      return undoMove(step);
  }
}

/** A server that runs has read its files, and overwrites what is put back when it saves or ends. @throws restore-stuck */
async function assertStopped(steps: readonly RedisStep[], given: RedisOptions | undefined, signal: AbortSignal): Promise<void> {
  const source = steps.find((step) => step.op === "move" || step.op === "place")?.source ?? "";
  const options = given === undefined ? readStepOptions(source) : chooseTargetOptions(given);
  const endpoint = resolveEndpoint(options);
  try {
    await using _connection = await openConnection(endpoint, 0, signal);
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "source-missing") return;
    if (!(error instanceof HoldfastError) || error.code === "cancelled") throw error;
  }
  throw new HoldfastError(
    "restore-stuck",
    `the server at ${describeEndpoint(endpoint)} was started meanwhile: it would overwrite its former files if they were put back now`,
    {
      hint: "Stop the server, restart Holdfast, which then puts the former files back, and start the server again.",
    },
  );
}

/** A server that is in the midst of loading what it was sent takes no commands: it is waited for as long as the loading may take. */
async function undoReplace(step: ReplaceStep, given: RedisOptions | undefined, signal: AbortSignal): Promise<void> {
  const options = given === undefined ? readStepOptions(step.source) : chooseTargetOptions(given);
  const limitMs = performance.now() + options.syncTimeout;
  for (;;) {
    try {
      return await undoReplaceOnce(step, options, signal);
    } catch (error) {
      const known = explainRedisError(error, "its address");
      if (!(known instanceof HoldfastError && known.code === "source-locked") || performance.now() > limitMs) throw error;
    }
    await delay(pollMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) throw createAbortError(signal, "the rollback was given up");
  }
}

async function undoReplaceOnce(step: ReplaceStep, options: RedisOptions, signal: AbortSignal): Promise<void> {
  const hasAside = await isThere(step.aside);
  await using connection = await connect(step, hasAside, options, signal);
  if (connection === undefined) return;
  const info = await readInfo(connection, "server", "replication", "stats");
  const follows = await isFollowing(info, step);
  if (hasAside && !follows) await assertSameServer(info, connection.where, step, options);
  if (info.get("role") === "slave" && !follows) {
    throw new HoldfastError("restore-stuck", `the server at ${connection.where} is now a replica of another one`, {
      hint: "Make it a master (REPLICAOF NO ONE), then restart Holdfast.",
    });
  }
  if (!hasAside) return await settleWithoutAside(connection, info, step);
  if (isUntouched(info, step)) return await promote(connection, step);
  await using pause = await openWritePause(connection);
  // Its password for masters is one of ours, as far as we have set it.
  await promote(connection, step);
  await putBack(connection, step, options, pause, signal);
  await rm(step.aside, { force: true });
  await syncDirectory(dirname(step.aside));
}

/**
 * The config may mean another server by now, whose data nobody has saved. Under another address it is the same one when it is the process
 * that it was, or has the history of its data.
 * @throws restore-stuck
 */
async function assertSameServer(
  info: Info,
  where: string,
  { source, runId, replicationId, scratchId }: ReplaceStep,
  options: RedisOptions,
): Promise<void> {
  const begun = redisOptions.safeParse(readSource([{ name: "former.rdb", sourcePath: source }]));
  if (source === "" || !begun.success || isViaLost(begun.data.via)) return;
  if ((await identifyServer(begun.data)).id === (await identifyServer(options)).id) return;
  const ids = ["master_replid", "master_replid2"].map((name) => info.get(name));
  if (info.get("run_id") === runId || ids.includes(replicationId) || ids.includes(scratchId)) return;
  throw new HoldfastError(
    "restore-stuck",
    `the server at ${where} is not the server that the restore had begun on (${describeEndpoint(resolveEndpoint(begun.data))})`,
    {
      hint: "Let the datastore mean the former server until the restore has ended (then `holdfast reload`), and give the new server a datastore of its own. Where the former one is gone for good, move the restore's journal away.",
    },
  );
}

/** When there is nothing to put back any more, a server that is away is no trouble. */
async function connect(
  step: ReplaceStep,
  hasAside: boolean,
  options: RedisOptions,
  signal: AbortSignal,
): Promise<RedisConnection | undefined> {
  if (!hasAside && !(await isThere(dirname(step.aside)))) return undefined;
  return openConnection(resolveEndpoint(options), options.waitFor, signal);
}

async function settleWithoutAside(connection: RedisConnection, info: Info, step: ReplaceStep): Promise<void> {
  if (await isFollowing(info, step)) await promote(connection, step);
  const holdsRestored = info.get("master_replid") === step.scratchId || info.get("master_replid2") === step.scratchId;
  if (!holdsRestored) return;
  throw new HoldfastError("restore-stuck", `the server at ${connection.where} holds the restored data, and ${step.aside} is gone`, {
    hint: "Restore the pre-restore backup: it has the former data.",
  });
}

/** The aside data takes the way that the restored data took. */
async function putBack(
  connection: RedisConnection,
  step: ReplaceStep,
  options: RedisOptions,
  pause: WritePause,
  signal: AbortSignal,
): Promise<void> {
  const scan = await scanRdbFile(step.aside, Date.now(), signal);
  const settings = { directory: dirname(step.aside), rdb: { path: step.aside, scan } };
  const reach = { announce: step.announce, bind: step.bind };
  const port = options.announcePort;
  await using feed = await openFeedAt(reach, port, connection, settings, signal);
  await noteFeedPort(dirname(step.aside), feed.scratch.port);
  try {
    const following = { announce: step.announce, following: feed.following, syncTimeoutMs: options.syncTimeout, pause };
    await followScratch(connection, feed.scratch, following, signal);
  } finally {
    // Not when this was aborted: the connection is gone then, and the next attempt knows the server for ours by the port.
    await promote(connection, feed.following);
  }
  await waitUntilKept(connection, options.saveTimeout, signal);
}

/** Whether it is a replica of a private server of ours: the restore's, or one of an earlier attempt to roll it back. */
async function isFollowing(info: Info, { announce, port, aside }: ReplaceStep): Promise<boolean> {
  if (info.get("role") !== "slave" || info.get("master_host") !== announce) return false;
  const ports = [port, ...(await readFeedPorts(dirname(aside)))];
  return ports.some((own) => info.get("master_port") === String(own));
}

/**
 * A server that has received nothing of another's data still has its own, and its own replication id; once promoted that is its second one.
 * The count alone proves nothing: CONFIG RESETSTAT sets it back.
 */
function isUntouched(info: Info, step: ReplaceStep): boolean {
  if (info.get("run_id") !== step.runId) return false;
  const hasOwn = info.get("master_replid") === step.replicationId;
  if (step.receivedBytes < 0) return hasOwn && info.get("role") === "master";
  return readReceivedBytes(info) === step.receivedBytes && (hasOwn || info.get("master_replid2") === step.replicationId);
}

/** For a roll-back without a config: enough for a server that needs no password. */
function readStepOptions(source: string): RedisOptions {
  const parsed = redisOptions.safeParse(readSource([{ name: "former.rdb", sourcePath: source }]));
  if (source !== "" && parsed.success && !isViaLost(parsed.data.via)) return parsed.data;
  throw new HoldfastError("restore-stuck", "how to connect to the server is not known without its datastore in the config", {
    hint: "Bring the datastore back into the config, then restart Holdfast.",
  });
}

/** Removes what a finished swap put aside. */
export async function settleSwap(steps: readonly SwapStep[]): Promise<void> {
  for (const step of steps.map(parseStep)) if (step.op === "stage") await removeWorkDirectory(step.path);
}
