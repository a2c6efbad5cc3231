import { setTimeout as delay } from "node:timers/promises";
import { describeCause, HoldfastError, reportError } from "../../base/errors.ts";
import { describeDuration } from "../../base/parse-duration.ts";
import { runHook } from "../run-hook.ts";
import type { TaskPorts } from "../setup.ts";
import { askSettled, type Standing } from "./ask-state.ts";
import { type GuardOrder, type GuardReport, readLines, sendLine } from "./hold-messages.ts";
import { lockHold, readHold, removeHold, writeHold, type HoldRecord } from "./hold-record.ts";
import { letGo, type Doubt } from "./let-go.ts";
import { findHoldId, listHooks, type HoldOrder } from "./open-hold.ts";
import { releaseRecord } from "./release-holds.ts";

/** How long another holder of the same service is waited for. */
const busyMs = 15 * 60_000;
const busyEveryMs = 250;
/** A service that changes when it is asked is given so long. */
const settleMs = 60_000;
/** Of one attempt to let go. */
const attemptMs = 10 * 60_000;
/** For how long it is tried, with pauses; after that the daemon does, now and then. */
const tryForMs = 15 * 60_000;
const firstPauseMs = 2_000;
const longestPauseMs = 60_000;
const lookEveryMs = 500;

/**
 * The guard's side of a hold: one order from its standard input, one service. It ends when the service goes on, or when it has tried for long.
 * Nobody tells it anything when whoever gave the order dies: the kernel closes its input.
 */
export async function serveGuard(): Promise<void> {
  // Nobody may read what is said any more.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  const report = (message: GuardReport): void => sendLine(process.stdout, message);
  const ending = new AbortController();
  const orders = readLines<GuardOrder<HoldOrder>>(process.stdin);
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(name, () => ending.abort(unasked));
  const first = await orders.next();
  if (first.done === true || first.value.type !== "engage") return;
  const { order } = first.value;
  void orders.next().then(({ done }) => ending.abort(done === true ? unasked : undefined));
  try {
    await guard(order, report, ending.signal);
  } catch (error) {
    log("error", `${order.what}: ${describeCause(error)}`);
    report({ type: "failed", error: reportError(error) });
  }
  // Input that nobody closes must not keep it.
  process.stdin.destroy();
}

/** Why it is let go before whoever holds it has said so: what is copied at that moment is not to be used. */
const unasked = new HoldfastError("interrupted", "Nobody has asked for it");

/** Its standard error is the journal's. */
const log: TaskPorts["log"] = (level, message) => {
  process.stderr.write(`${level === "error" ? "<3>" : level === "warn" ? "<4>" : ""}${message}\n`);
};

/** @param ending aborts when it is to be let go, for whatever reason */
async function guard(order: HoldOrder, report: (message: GuardReport) => void, ending: AbortSignal): Promise<void> {
  const { directory, ask } = order;
  const id = findHoldId(order);
  using _lock = await waitForLock(order, id, ending);
  const left = readHold(directory, id);
  // An earlier guard was killed. It ran before that, so it has to run after this, too.
  if (left !== undefined) await releaseRecord(directory, left, { known: listHooks(order) }, { log }, AbortSignal.timeout(attemptMs));
  const found = ask === undefined ? undefined : await askSettled(ask, settleMs, ending);
  const before = found?.state ?? "running";
  if (found?.state === "stopped") return await watchStopped(order, found, report, ending);
  if (before === "unknown")
    throw new HoldfastError(
      "conflict",
      `${order.what}: nothing of this name is there to be stopped, and something of another name may run`,
      {
        hint: "Correct `project`, `file` and `directory` of its service; or make it without starting it: `docker compose up --no-start`.",
      },
    );
  if (before !== "running") throw new HoldfastError("conflict", `${order.what}: it is ${before} already, and not by us`);
  const record: HoldRecord = {
    version: 1,
    id,
    what: order.what,
    state: "engaging",
    manner: order.manner ?? "stopped",
    sinceMs: Date.now(),
    limitMs: order.limitMs,
    engage: order.engage,
    release: order.release,
    ...(ask === undefined ? {} : { ask }),
  };
  if (ending.aborted) return undefined;
  await writeHold(directory, record);
  const startedAtMs = performance.now();
  const limit = new AbortController();
  const timer = setTimeout(() => {
    report({ type: "over" });
    limit.abort(createOverError(order));
  }, order.limitMs);
  let failure: unknown;
  let doubt: Doubt = "none";
  let wasDisturbed = false;
  let isEngaged = false;
  try {
    doubt = "engaging";
    for (const hook of order.engage) {
      // What has begun comes to its end, so that what lets it go does not overtake it.
      if (ending.aborted) break;
      await runHook(hook, "stop", limit.signal);
    }
    doubt = "none";
    if (!ending.aborted) {
      const held = await assertStanding(order, limit.signal);
      await writeHold(directory, { ...record, state: "held" });
      isEngaged = true;
      report({ type: "engaged", was: "running" });
      await waitForAbort(AbortSignal.any([ending, limit.signal]));
      // Asking takes time that counts; a copy that is lost anyhow need not be asked about.
      wasDisturbed = ending.reason === unasked || (!limit.signal.aborted && (await isDisturbed(order, held, limit.signal)));
    }
  } catch (error) {
    failure = limit.signal.aborted ? createOverError(order) : error;
    // A hook that ended by itself left nothing behind that works on.
    if (!isCutOff(error)) doubt = "none";
  }
  const isExceeded = limit.signal.aborted;
  clearTimeout(timer);
  const tell = (error: unknown): void => {
    const heldMs = performance.now() - startedAtMs;
    const all = failure !== undefined && error !== undefined ? createStuckError(order, failure, error) : (failure ?? error);
    const told = all === undefined ? {} : { error: reportError(all) };
    if (failure === undefined || isEngaged) report({ type: "released", heldMs, isExceeded, wasDisturbed, ...told });
    else report({ type: "failed", error: reportError(all) });
  };
  await release(order, record, doubt, tell);
}

/** What stands still already is let be; but whoever starts it meanwhile spoils the copy. */
async function watchStopped(order: HoldOrder, found: Standing, report: (message: GuardReport) => void, ending: AbortSignal): Promise<void> {
  report({ type: "engaged", was: "stopped" });
  await waitForAbort(ending);
  const released = { type: "released", heldMs: 0, isExceeded: false } as const;
  try {
    const wasDisturbed =
      ending.reason === unasked || (await isDisturbed({ ...order, manner: "stopped" }, found, AbortSignal.timeout(attemptMs)));
    report({ ...released, wasDisturbed });
  } catch (error) {
    report({ ...released, wasDisturbed: false, error: reportError(error) });
  }
}

async function waitForLock({ directory, what }: HoldOrder, id: string, ending: AbortSignal): Promise<Disposable> {
  for (const untilMs = performance.now() + busyMs; performance.now() < untilMs;) {
    const lock = await lockHold(directory, id, ending);
    if (lock !== undefined) return lock;
    await delay(busyEveryMs, undefined, { signal: ending });
  }
  throw new HoldfastError("busy", `${what}: another task has held it for too long`);
}

/** Undefined where it cannot be asked. */
async function assertStanding({ ask, manner = "stopped" }: HoldOrder, signal: AbortSignal): Promise<Standing | undefined> {
  if (ask === undefined) return undefined;
  const standing = await askSettled(ask, settleMs, signal);
  const { state } = standing;
  if (state === manner || (manner === "paused" && state === "stopped")) return standing;
  throw new HoldfastError("hook-failed", `its ${manner === "stopped" ? "stop" : "pause"} commands succeeded, but it is ${state}`);
}

/** @param held how it stood when it was held */
async function isDisturbed({ ask, manner = "stopped" }: HoldOrder, held: Standing | undefined, signal: AbortSignal): Promise<boolean> {
  if (ask === undefined) return false;
  // An exit status does not tell a server that is frozen from one that runs.
  if (ask.answer === "status" && manner === "paused") return false;
  const now = await askSettled(ask, settleMs, signal);
  if (now.state !== manner) return true;
  // Somebody started it and stopped it again. What tells no time now was not changed since, or cannot say so.
  return now.since !== undefined && now.since !== held?.since;
}

/** Lets it go, tells how that went, and where it failed tries on by itself. */
async function release(order: HoldOrder, record: HoldRecord, doubt: Doubt, tell: (error: unknown) => void): Promise<void> {
  const { directory } = order;
  const held = { ...record, release: order.release, ...(order.ask === undefined ? {} : { ask: order.ask }) };
  const untilMs = performance.now() + tryForMs;
  for (let pauseMs = firstPauseMs, round = 1; ; round += 1, pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      await letGo(held, doubt, AbortSignal.timeout(attemptMs));
      await removeHold(directory, record.id);
      if (round === 1) tell(undefined);
      else log("info", `${order.what} no more: it goes on`);
      return;
    } catch (error) {
      const problem = describeCause(error);
      log("error", `${order.what}, and it cannot be let go on: ${problem}`);
      if (isOurs(directory, record.id)) await writeHold(directory, { ...record, state: "held", problem }).catch(() => undefined);
      if (round === 1) tell(error);
    }
    if (performance.now() + pauseMs > untilMs) return;
    for (const nextMs = performance.now() + pauseMs; performance.now() < nextMs; await delay(Math.min(pauseMs, lookEveryMs)))
      if (!isOurs(directory, record.id)) return log("info", `${order.what}: somebody else sees to it now`);
  }
}

/** Whoever removes the record sees to the service: a person, or a restore that must not be disturbed. One that cannot be read is there. */
function isOurs(directory: string, id: string): boolean {
  try {
    return readHold(directory, id) !== undefined;
  } catch {
    return true;
  }
}

function isCutOff(error: unknown): boolean {
  const cause: unknown = error instanceof HoldfastError ? error.cause : undefined;
  return cause instanceof HoldfastError && cause.code !== "tool-failed";
}

function createOverError({ what, limitMs }: HoldOrder): HoldfastError {
  return new HoldfastError("hold-exceeded", `${what}: that alone took longer than ${describeDuration(limitMs)}`, {
    hint: "Allow more: `maxDowntime` of its service, `maxFreeze` of the job.",
  });
}

function createStuckError({ what }: HoldOrder, first: unknown, second: unknown): HoldfastError {
  return new HoldfastError("hook-failed", `${what}: ${describeCause(first)}; and it could not be let go on: ${describeCause(second)}`, {
    cause: second,
    hint: "Start it by hand; Holdfast tries again by itself.",
  });
}

async function waitForAbort(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
