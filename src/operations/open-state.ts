import { existsSync } from "node:fs";
import { mkdir, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectory, syncDirectory, writeFileAtomically } from "../base/atomic-file.ts";
import { formatInstant, systemClock } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Catalog } from "../catalog/contract.ts";
import { openCatalog } from "../catalog/open-catalog.ts";
import type { Settings } from "../config/config.ts";
import type { Queue } from "../queue/contract.ts";
import { lockInstance } from "../queue/instance-lock.ts";
import { openQueue } from "../queue/open-queue.ts";
import { withStateExplained } from "./explain-state-error.ts";

export interface StateOptions {
  readonly settings: Settings;
  readonly version: string;
  /**
   * What becomes of a queue or catalog that is lost or damaged. `refuse`: an empty one must never stand in for it. `replace`: what is
   * left of it is moved aside, and a new one is made; for a rebuild.
   */
  readonly whenLost: "refuse" | "replace";
}

/** The queue and the catalog of a state directory; nobody else has them open as long as this one has. */
export interface OpenedState extends AsyncDisposable {
  readonly queue: Queue;
  readonly catalog: Catalog;
  readonly firstStart: boolean;
  /** Made anew, because the old ones were lost or damaged. */
  readonly replaced: readonly StateFileName[];
  /** Where what was left of those is kept; undefined when there was nothing to keep. */
  readonly asideDir: string | undefined;
}

export type StateFileName = "queue.db" | "catalog.db";

/** Written once a state directory has been set up: from then on a missing state file is a loss, not a first start. */
export const stateMarker = "state.json";

/** @throws daemon-running, state-corrupt, state-newer, state-unwritable */
export async function openState(options: StateOptions, signal: AbortSignal): Promise<OpenedState> {
  return await withStateExplained(options.settings.stateDir, () => openFiles(options, signal));
}

async function openFiles({ settings, version, whenLost }: StateOptions, signal: AbortSignal): Promise<OpenedState> {
  await using resources = new AsyncDisposableStack();
  const { stateDir, concurrency } = settings;
  await makeDirectory(stateDir, 0o711);
  await withStateExplained(settings.runtimeDir, () => makeDirectory(settings.runtimeDir, 0o755));
  resources.use(await lockInstance(stateDir, signal));
  const has = (name: string): boolean => existsSync(join(stateDir, name));
  const firstStart = !has(stateMarker);
  if (firstStart && whenLost === "refuse" && has("queue.db") !== has("catalog.db")) {
    throw new HoldfastError("state-corrupt", `The state directory ${stateDir} is incomplete`, {
      hint: "`holdfast rebuild --offline` makes a new state from the destinations.",
    });
  }
  const whenMissing = firstStart && !has("queue.db") && !has("catalog.db") ? "create" : "refuse";
  const replaced: StateFileName[] = [];
  let asideDir: string | undefined;
  const open = async <Opened>(
    name: StateFileName,
    openFile: (path: string, whenMissing: "create" | "refuse") => Opened,
  ): Promise<Opened> => {
    const path = join(stateDir, name);
    try {
      return openFile(path, whenMissing);
    } catch (error) {
      if (whenLost === "refuse" || !(error instanceof HoldfastError) || error.code !== "state-corrupt") throw error;
      asideDir = (await moveAside(stateDir, name, asideDir)) ?? asideDir;
      replaced.push(name);
      return openFile(path, "create");
    }
  };
  const queue = resources.use(
    await open("queue.db", (path, missing) => openQueue({ path, clock: systemClock, concurrency, whenMissing: missing })),
  );
  const catalog = resources.use(await open("catalog.db", (path, missing) => openCatalog({ path, whenMissing: missing })));
  if (firstStart) await writeFileAtomically(join(stateDir, stateMarker), `${JSON.stringify({ format: 1, createdBy: version })}\n`, 0o600);
  const owned = resources.move();
  return { queue, catalog, firstStart, replaced, asideDir, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Keeps what is left of a state file, its logs included. @returns where; undefined when nothing is left */
async function moveAside(stateDir: string, name: StateFileName, known: string | undefined): Promise<string | undefined> {
  const left = (await readdir(stateDir)).filter((each) => each === name || each.startsWith(`${name}-`));
  if (left.length === 0) return undefined;
  const directory = known ?? join(stateDir, `damaged-${formatInstant(systemClock.now()).replaceAll(":", "")}`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const each of left) await rename(join(stateDir, each), join(directory, each));
  await syncDirectory(directory);
  await syncDirectory(stateDir);
  return directory;
}
