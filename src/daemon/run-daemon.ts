import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { Config } from "../config/config.ts";
import { openControlServer } from "../control/open-server.ts";
import type { ControlContext } from "../control/route.ts";
import { applyConfig } from "../operations/apply-config.ts";
import type { Core } from "../operations/core.ts";
import { Dispatcher } from "../operations/dispatch.ts";
import { recoverTasks } from "../operations/recover-tasks.ts";
import { endInterruptedRemovals } from "../operations/end-interrupted-removals.ts";
import { endInterruptedRestores } from "../operations/end-interrupted-restores.ts";
import { openDestination } from "../operations/verify.ts";
import { describeDestination } from "../operations/find-config.ts";
import { HoldWatch } from "../operations/hold/watch-holds.ts";
import { readStatus } from "../operations/read-status.ts";
import { RestoreRetry } from "../operations/retry-restores.ts";
import { runStartJobs, ScheduleWatch } from "../operations/run-schedules.ts";
import { sweepScratches } from "../operations/scratch/request-scratch.ts";
import { sweepStaging } from "../operations/sweep-staging.ts";
import { syncDestination } from "../operations/sync-destination.ts";
import { DestinationWatch } from "../operations/watch-destinations.ts";
import { watchAbsence } from "../operations/watch-absence.ts";
import type { Program } from "./load-program.ts";
import { openCore } from "./open-core.ts";
import { openTicker } from "./open-ticker.ts";
import { openServiceManager, type ServiceManager } from "./service-manager.ts";
import { ClockWatch } from "./watch-clock.ts";
import { describeDuration } from "../base/parse-duration.ts";

/** What aborted workers may take to clean up. */
const cleanUpMs = 30_000;
const statusEveryMs = 10_000;
const housekeepingEveryMs = 60_000;

export interface DaemonOptions {
  readonly config: Config;
  readonly program: Program;
  /** Reads the configuration again, with the flags and the environment of the start. */
  readonly loadConfig: () => Promise<Config>;
  /** Called once the daemon serves; for the quick start. */
  readonly onReady?: () => void;
}

/**
 * Runs the daemon until it is told to end. The first SIGTERM or SIGINT drains: running tasks may end within `settings.drainMs`; a second
 * one, or the deadline, aborts them.
 */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  keepSmall();
  const stop = new AbortController();
  const abort = new AbortController();
  const onSignal = (): void => (stop.signal.aborted ? abort.abort() : stop.abort());
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  await using resources = new AsyncDisposableStack();
  resources.defer(() => {
    process.off("SIGTERM", onSignal);
    process.off("SIGINT", onSignal);
  });
  const manager = resources.use(await openServiceManager(process.env));
  const { core } = resources.use(await openCore(options.config, options.program, stop.signal));
  core.log.info(`Holdfast ${core.version} starts`, { config: core.config.path, jobs: [...core.config.jobs.keys()] });
  const holds = resources.use(new HoldWatch(core));
  await recover(core, holds);

  const dispatcher = new Dispatcher(core);
  const retry = resources.use(new RestoreRetry(core));
  const destinations = resources.use(new DestinationWatch(core));
  const reloadAll = async (): Promise<{ readonly changed: boolean }> => {
    const applied = await reload(core, manager, options.loadConfig);
    retry.tryNow();
    holds.tryNow();
    destinations.lookNow();
    return applied;
  };
  const context: ControlContext = { core, reload: reloadAll };
  const { settings } = core.config;
  const gid = findGroup(settings.socketGroup);
  resources.use(await openControlServer({ path: settings.socketPath, access: "admin", gid }, context));
  resources.use(await openControlServer({ path: settings.statusSocketPath, access: "read", gid }, context));
  onReload(resources, context, core);

  await runStartJobs(core, stop.signal);
  openTicks(resources, core, manager, { retry, holds, destinations });
  dispatcher.pump();
  await manager.ready(readStatus(core).summary);
  manager.startWatchdog();
  core.log.info("Ready", { socket: settings.socketPath });
  options.onReady?.();

  await waitForAbort(stop.signal);
  core.log.info(`Stopping: running tasks may take up to ${describeDuration(settings.drainMs)}`);
  await manager.stopping();
  // Aborted tasks clean up after the drain; without this systemd's own limit would cut a long one off.
  await manager.extendTimeout(settings.drainMs + cleanUpMs);
  await dispatcher.drain(AbortSignal.any([abort.signal, AbortSignal.timeout(settings.drainMs)]));
  core.log.info("Stopped");
}

/** The daemon does little and waits long: memory is worth more to the machine than its speed. A sixth of its resident size, measured. */
function keepSmall(): void {
  setFlagsFromString("--max-semi-space-size=1");
  setFlagsFromString("--optimize-for-size");
}

/** Mends what the last end left: services that stand still, restores half-way, tasks half-way, publications half-way; then the catalog is compared with the destinations. */
async function recover(core: Core, holds: HoldWatch): Promise<void> {
  const signal = AbortSignal.timeout(10 * 60_000);
  await recoverTasks(core, signal);
  // Not waited for: what does not start must not keep the daemon from starting.
  holds.tryNow();
  for (const run of core.catalog.runs.interruptAll(core.clock.now())) core.log.warn(`The ${run.kind} run ${run.id} was interrupted`);
  await endInterruptedRestores(core, signal);
  await sweepStaging(core);
  await sweepScratches(core, signal);
  for (const name of core.config.destinations.keys()) {
    try {
      await using destination = await openDestination(describeDestination(core.config, name));
      for (const { message } of await destination.recover(() => false, signal)) core.log.warn(message);
      await endInterruptedRemovals(core, destination, signal);
      await syncDestination(core, name, signal);
      // A18: before the first run needs it.
      const { writable, summary, notes } = await destination.probe(signal);
      if (!writable)
        core.log.warn(`The destination "${name}" (${summary}) cannot be written to: ${notes.map(({ message }) => message).join("; ")}`);
    } catch (error) {
      core.log.warn(
        `The destination "${name}" cannot be read now: ${describeCause(error)}`,
        error instanceof HoldfastError && error.hint !== undefined ? { hint: error.hint } : {},
      );
    }
  }
}

/** Which slots are due is decided from the catalog's memory. */
function openTicks(
  resources: AsyncDisposableStack,
  core: Core,
  manager: ServiceManager,
  { retry, holds, destinations }: { readonly retry: RestoreRetry; readonly holds: HoldWatch; readonly destinations: DestinationWatch },
): void {
  const clock = new ClockWatch(core.clock);
  const schedules = new ScheduleWatch(core);
  let statusAtMs = -Infinity;
  let housekeptAtMs = core.clock.monotonic();
  const tick = async (): Promise<void> => {
    try {
      core.clockJump = clock.look();
      await schedules.look(AbortSignal.timeout(30_000));
      retry.look();
      holds.look();
      destinations.look();
      const nowMs = core.clock.monotonic();
      if (nowMs - housekeptAtMs >= housekeepingEveryMs) {
        housekeptAtMs = nowMs;
        keepHouse(core);
        await sweepScratches(core, AbortSignal.timeout(30_000));
      }
      if (nowMs - statusAtMs >= statusEveryMs) {
        statusAtMs = nowMs;
        await manager.status(readStatus(core).summary);
      }
    } catch (error) {
      core.log.error(`A tick failed: ${describeCause(error)}`);
    }
  };
  resources.use(openTicker(tick, () => schedules.findNextMs()));
}

function keepHouse(core: Core): void {
  watchAbsence(core);
  const nowMs = core.clock.now();
  const { auditKeepMs, historyKeepMs } = core.config.settings;
  // A clock that jumped must not age history away.
  if (core.clockJump !== undefined) return;
  core.catalog.audit.prune(nowMs - auditKeepMs);
  core.catalog.runs.prune(nowMs - historyKeepMs);
  core.queue.prune(nowMs - historyKeepMs);
}

async function reload(core: Core, manager: ServiceManager, loadConfig: () => Promise<Config>): Promise<{ readonly changed: boolean }> {
  await manager.reloading();
  try {
    const applied = applyConfig(core, await loadConfig());
    core.configProblem = undefined;
    return applied;
  } catch (error) {
    core.configProblem = `the configuration was not reloaded, the old one stays in force: ${describeCause(error)}`;
    core.log.error(core.configProblem);
    throw error;
  } finally {
    await manager.ready(readStatus(core).summary);
  }
}

/** SIGHUP reloads too, for those who expect it; `systemctl reload` uses the socket because it must wait for the outcome. */
function onReload(resources: AsyncDisposableStack, context: ControlContext, core: Core): void {
  const onHangup = (): void => {
    context.reload(AbortSignal.timeout(60_000)).catch(() => core.log.warn("SIGHUP changed nothing"));
  };
  process.on("SIGHUP", onHangup);
  resources.defer(() => {
    process.off("SIGHUP", onHangup);
  });
}

function findGroup(name: string): number | undefined {
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((candidate) => candidate.startsWith(`${name}:`));
  return line === undefined ? undefined : Number(line.split(":")[2]);
}

async function waitForAbort(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
