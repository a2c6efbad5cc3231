import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { endProcessGroup } from "../../src/base/process-group.ts";
import { finishRestores, type FinishedRestore } from "../../src/operations/finish-restore.ts";
import { readRestoreJournal, type RestoreRecord } from "../../src/operations/restore-journal.ts";
import { findMarked } from "./check-invariants.ts";
import { pickPoints, readSeed } from "./fault-points.ts";
import { isLong } from "./kill-campaign.ts";
import { operate, type OperationRun } from "./kill-points.ts";
import { describeServerRestore, sweepStaging, type ServerWorld } from "./server-world.ts";
import { never, quietPorts, worldPaths } from "./small-world.ts";

const preload = "server-fault-preload.ts";

/** `before` and `after`: the process is killed. `fail`: it is refused. `cut`: the program is killed, the connection ends half-way. */
export type ServerFault = "before" | "after" | "fail" | "cut";

export interface ServerPoint {
  /** As server-fault-preload.ts names it. */
  readonly event: string;
  readonly fault: ServerFault;
}

/** What a restore that was begun on a world, with a fault at a point, has become, after the next start. */
interface Ended {
  readonly run: OperationRun;
  readonly finished: readonly FinishedRestore[];
  readonly data: string;
}

/** Both states in full; the world is left as it was. */
export async function readStates(
  world: ServerWorld,
  cache: string,
): Promise<{ readonly old: string; readonly fresh: string; readonly events: readonly string[] }> {
  const old = world.data.read();
  const directory = mkdtempSync(join(tmpdir(), "events-"));
  try {
    const log = join(directory, "log");
    const run = await operate(world, "restore", describeServerRestore(world), {
      cache,
      preload,
      variables: { HOLDFAST_SERVER_FAULT_LOG: log },
    });
    assert.equal(run.outcome, "done", `the clean run: ${run.said} ${run.stderr}`);
    sweepStaging(world);
    const fresh = world.data.read();
    assert.notEqual(fresh, old);
    await world.data.change();
    assert.equal(world.data.read(), old, "the data that is to be replaced can be made again");
    return { old, fresh, events: readFileSync(log, "utf8").trim().split("\n") };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Every event of a clean run with every fault that means something there. What is asked again and again counts twice. */
export function listServerPoints(events: readonly string[]): readonly ServerPoint[] {
  const counted = [...new Set(events)].filter((event) => {
    const [, kind = "", words = "", count = "0"] = /^(\w+) (.*) @(\d+)$/.exec(event) ?? [];
    if (kind === "command") return Number(count) <= (/^(info|ping|config get)/i.test(words) ? 2 : 8);
    if (kind === "statement") return Number(count) <= (/^(SET|SELECT)/i.test(words) ? 2 : 8);
    return true;
  });
  return counted.flatMap((event) => {
    const asks = /^statement (SET|SHOW|SELECT)|^command (info|ping|config get|client id)/i.test(event);
    const faults: readonly ServerFault[] = event.startsWith("record ")
      ? ["before", "after", "fail"]
      : asks
        ? ["fail", "cut"]
        : ["before", "after", "fail", "cut"];
    return faults.map((fault) => ({ event, fault }));
  });
}

/** Stops a restore at a point, and does what the daemon does at its next start. */
async function endAt(
  world: ServerWorld,
  point: ServerPoint,
  cache: string,
): Promise<Ended & { readonly records: readonly RestoreRecord[] }> {
  const setup = describeServerRestore(world);
  const run = await operate(world, "restore", setup, { cache, preload, variables: { HOLDFAST_SERVER_FAULT: JSON.stringify(point) } });
  const finished = await restartServers(world, run.marker);
  const records = await readRestoreJournal(setup.journalDir, setup.restoreId);
  return { run, finished, data: world.data.read(), records };
}

export async function restartServers(world: ServerWorld, marker: string): Promise<readonly FinishedRestore[]> {
  await endProcessGroup(undefined, marker, 5_000, never);
  sweepStaging(world);
  const { journals } = worldPaths(world.root);
  return await finishRestores(journals, quietPorts, never, (name) => world.data.datastores.find((each) => each.name === name)?.options);
}

export interface ServerCampaign {
  readonly cache: string;
  /** How many points of a bounded run. */
  readonly bounded: number;
  readonly select?: (point: ServerPoint) => boolean;
}

/**
 * The restore with a fault at each chosen point: afterwards all is old, or all is new and said to be, the application runs, nothing is left,
 * and the journal says which. In a bounded run some of the points, by seed.
 */
export async function runServerCampaign(t: TestContext, world: ServerWorld, campaign: ServerCampaign): Promise<void> {
  const { cache, bounded, select = () => true } = campaign;
  const { old, fresh, events } = await readStates(world, cache);
  const points = listServerPoints(events).filter(select);
  const seed = readSeed();
  const only = process.env["HOLDFAST_POINT"];
  const chosen =
    only !== undefined
      ? points.filter(({ event, fault }) => `${fault} ${event}`.includes(only))
      : isLong
        ? points
        : pickPoints(points, bounded, seed, t.name);
  const problems: string[] = [];
  const seen = { old: 0, fresh: 0, unreached: 0 };
  for (const point of chosen) {
    const where = `${point.fault} ${point.event} (HOLDFAST_SEED=${seed})`;
    const problem = await tryPoint(world, point, { old, fresh }, cache, seen).catch((error: unknown) => (error as Error).message);
    if (problem !== undefined) problems.push(`${where}: ${problem}`);
    // It takes long until the end.
    if (problem !== undefined && isLong) process.stderr.write(`${where}: ${problem}\n`);
    if (problem !== undefined && !isLong) break;
    await resetWorld(world, old);
  }
  t.diagnostic(
    `${chosen.length} of ${points.length} points: ${seen.old} left as it was, ${seen.fresh} restored, ${seen.unreached} not reached; HOLDFAST_SEED=${seed}`,
  );
  assert.deepEqual(problems, []);
}

async function tryPoint(
  world: ServerWorld,
  point: ServerPoint,
  { old, fresh }: { readonly old: string; readonly fresh: string },
  cache: string,
  seen: { old: number; fresh: number; unreached: number },
): Promise<string | undefined> {
  const { run, finished, data, records } = await endAt(world, point, cache);
  const told = `${run.outcome} ${run.said.slice(0, 300)} ${run.stderr.slice(-300)} ${JSON.stringify(finished.map(({ outcome, message }) => [outcome, message]))}`;
  if (data !== old && data !== fresh) return `neither old nor new: ${told}\n${data}\n--- old:\n${old}\n--- new:\n${fresh}`;
  const found = data === old ? "old" : "fresh";
  seen[found] += 1;
  const isKill = point.fault === "before" || point.fault === "after";
  if (isKill && run.outcome !== "killed") seen.unreached += 1;
  if (run.outcome === "done" && found !== "fresh") return `said to be done, and it is not: ${told}`;
  if (run.outcome === "failed" && found !== "old") return `said to have failed, and it is done: ${told}`;
  if (run.outcome === "failed" && !/^[a-z-]+ /.test(run.said)) return `not classified: ${told}`;
  if (run.outcome === "failed" && /^(unknown|internal|restore-stuck) /.test(run.said)) return `not classified: ${told}`;
  if (finished.some(({ outcome }) => outcome === "failed")) return `the next start could not end it: ${told}`;
  const end = records.at(-1);
  if (end !== undefined && end.type !== "end") return `its journal has no end: ${JSON.stringify(end)} ${told}`;
  if (end?.type === "end" && end.outcome !== (found === "fresh" ? "done" : "rolled-back"))
    return `its journal says ${end.outcome}: ${told}`;
  if (end === undefined && found !== "old") return `it has no journal, and all is new: ${told}`;
  if (!existsSync(worldPaths(world.root).running)) return `the application was not started again: ${told}`;
  const leftovers = world.data.listLeftovers();
  const isKept = world.data.unsavable === "raw" && found === "fresh";
  if (isKept !== leftovers.length > 0)
    return isKept ? `what was there is neither saved nor aside: ${told}` : `left: ${leftovers.join(" ")}; ${told}`;
  const processes = findMarked(run.marker);
  if (processes.length > 0) return `processes are left: ${processes.join()}; ${told}`;
  if ((await restartServers(world, run.marker)).length > 0) return `a second start finds something to do: ${told}`;
  if (world.data.read() !== data) return `a second start changed the data: ${told}`;
  if (found === "fresh" && !isKept && !records.some(({ type }) => type === "saved"))
    return `all is new, and what was there is not saved: ${told}`;
  return undefined;
}

/** Of every point the next one finds what the first one found; the backups that were made before a restore go. */
async function resetWorld(world: ServerWorld, old: string): Promise<void> {
  const { journals, running, vault } = worldPaths(world.root);
  if (world.data.read() !== old) await world.data.change();
  rmSync(journals, { recursive: true, force: true });
  for (const name of readdirSync(vault))
    if (name.startsWith("pre_") || name.startsWith(".pre_")) rmSync(join(vault, name), { recursive: true });
  writeFileSync(running, "");
}
