import { existsSync } from "node:fs";
import { join } from "node:path";
import { makeDirectory, writeFileAtomically } from "../base/atomic-file.ts";
import { systemClock } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import { openCatalog } from "../catalog/open-catalog.ts";
import type { Config } from "../config/config.ts";
import type { Core } from "../operations/core.ts";
import { lockInstance } from "../queue/instance-lock.ts";
import { openQueue } from "../queue/open-queue.ts";
import { openLog } from "../telemetry/open-log.ts";
import { openNotifier } from "../telemetry/open-notifier.ts";
import type { Program } from "./load-program.ts";

/** Written once a state directory has been set up: from then on a missing state file is a loss, not a first start. */
const stateMarker = "state.json";

export interface OpenedCore extends AsyncDisposable {
  readonly core: Core;
  readonly firstStart: boolean;
}

/** Opens everything that the daemon's operations share. @throws daemon-running, state-corrupt, state-newer */
export async function openCore(config: Config, program: Program, signal: AbortSignal): Promise<OpenedCore> {
  await using resources = new AsyncDisposableStack();
  const { settings } = config;
  const log = resources.use(openLog({ format: settings.logFormat, level: settings.logLevel }));
  await makeDirectory(settings.stateDir, 0o711);
  await makeDirectory(settings.runtimeDir, 0o755);
  resources.use(await lockInstance(settings.stateDir, signal));
  const paths = {
    queue: join(settings.stateDir, "queue.db"),
    catalog: join(settings.stateDir, "catalog.db"),
    marker: join(settings.stateDir, stateMarker),
  };
  const firstStart = !existsSync(paths.marker);
  if (firstStart && existsSync(paths.queue) !== existsSync(paths.catalog)) {
    throw new HoldfastError("state-corrupt", `The state directory ${settings.stateDir} is incomplete`, {
      hint: "`holdfast rebuild --offline` makes a new state from the destinations.",
    });
  }
  const queue = resources.use(
    openQueue({ path: paths.queue, clock: systemClock, concurrency: settings.concurrency, whenMissing: firstStart ? "create" : "refuse" }),
  );
  const catalog = resources.use(openCatalog({ path: paths.catalog, whenMissing: firstStart ? "create" : "refuse" }));
  if (firstStart) await writeFileAtomically(paths.marker, `${JSON.stringify({ format: 1, createdBy: program.version })}\n`, 0o600);
  const notifier = resources.use(
    await openNotifier({
      channels: config.channels,
      log,
      clock: systemClock,
      outboxDir: join(settings.stateDir, "outbox"),
      host: settings.hostname,
    }),
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
    live: new Map(),
  };
  const owned = resources.move();
  return { core, firstStart, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
