import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import type { Config } from "../config/config.ts";
import type { Core } from "../operations/core.ts";
import { withStateExplained } from "../operations/explain-state-error.ts";
import { FactsMemory } from "../operations/job-facts.ts";
import { openState } from "../operations/open-state.ts";
import { openLog } from "../telemetry/open-log.ts";
import { openNotifier } from "../telemetry/open-notifier.ts";
import type { Program } from "./load-program.ts";

export interface OpenedCore extends AsyncDisposable {
  readonly core: Core;
  readonly firstStart: boolean;
}

/** Opens everything that the daemon's operations share. @throws daemon-running, state-corrupt, state-newer, state-unwritable */
export async function openCore(config: Config, program: Program, signal: AbortSignal): Promise<OpenedCore> {
  await using resources = new AsyncDisposableStack();
  const { settings } = config;
  const log = resources.use(openLog({ format: settings.logFormat, level: settings.logLevel }));
  const { queue, catalog, firstStart } = resources.use(await openState({ settings, version: program.version, whenLost: "refuse" }, signal));
  const outboxDir = join(settings.stateDir, "outbox");
  const notifier = resources.use(
    await withStateExplained(outboxDir, () =>
      openNotifier({ channels: config.channels, log, clock: systemClock, outboxDir, host: settings.hostname }),
    ),
  );
  const core: Core = {
    config,
    queue,
    catalog,
    log,
    notifier,
    clock: systemClock,
    entry: program.entry,
    version: program.version,
    startedAtMs: systemClock.now(),
    clockJump: undefined,
    configProblem: undefined,
    facts: new FactsMemory(catalog),
    stuckRestores: new Map(),
    destinationProblems: new Map(),
    live: new Map(),
  };
  const owned = resources.move();
  return { core, firstStart, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
