import type { Restore } from "../catalog/contract.ts";
import type { Core, StuckRestore } from "./core.ts";
import { describeHook } from "./describe-hook.ts";
import { restoreJournalDir } from "./prepare-task.ts";
import { readRestoreJournalNow, restoreAsideDir, restoreJournalPath, type restorePhases, type RestoreRecord } from "./restore-journal.ts";

export type RestorePhase = "locked" | (typeof restorePhases)[number] | "committed" | "rolled-back";

/** A restore that has not come to its end. */
export interface RestoreStatus {
  readonly id: string;
  readonly job: string;
  readonly backup: string;
  /** `stuck`: it was neither finished nor rolled back, and nobody works on it now. */
  readonly state: "running" | "stuck";
  /** The last one that all of its datastores have reached, or it as a whole. */
  readonly phase: RestorePhase;
  readonly startedAt: string;
  /** When the phase was reached. */
  readonly since: string;
  readonly datastores: readonly {
    readonly datastore: string;
    readonly phase: RestorePhase | "swapping";
    /** Whether the restored data is, or may be, in its place. */
    readonly swapped: "no" | "partly" | "yes";
  }[];
  /** `untouched`: the job has no stop command, or it was not run. */
  readonly application: "untouched" | "stopped" | "starting" | "started";
  /** What was there before, where it has been saved. */
  readonly preRestore: { readonly destination: string; readonly id: string; readonly name: string } | null;
  /** Paths that its steps name: what was put aside lies at some of them. */
  readonly places: readonly string[];
  readonly journal: string;
  /** Why it could not be ended. */
  readonly problem: string | null;
  /** What comes next, or is to be done. */
  readonly next: readonly string[];
}

const isoOf = (ms: number): string => new Date(ms).toISOString();
const shownPlaces = 20;

/** Restores that go on or are stuck, oldest first. */
export function readRestores(core: Core): readonly RestoreStatus[] {
  const known = core.catalog.restores.list({ states: ["running", "failed"] }).toReversed();
  const unknown = [...core.stuckRestores].filter(([id]) => !known.some((restore) => restore.id === id));
  return [
    ...known.flatMap((restore) => {
      const isLive = core.live.has(restore.runId);
      // It waits for its turn, and stands among the tasks.
      if (restore.state === "running" && !isLive && !core.stuckRestores.has(restore.id)) return [];
      return [describeRestore(core, restore, restore.state === "running" && isLive ? "running" : "stuck")];
    }),
    ...unknown.map(([id, { sinceMs }]) =>
      describeRestore(core, { id, job: "", backupName: "", datastores: [], startedAtMs: sinceMs, state: "failed" }, "stuck"),
    ),
  ];
}

type KnownRestore = Pick<Restore, "id" | "job" | "backupName" | "datastores" | "startedAtMs" | "finishedAtMs" | "state" | "preRestore">;

function describeRestore(core: Core, restore: KnownRestore, state: RestoreStatus["state"]): RestoreStatus {
  const { id } = restore;
  const directory = restoreJournalDir(core.config.settings.stateDir);
  const records = readRestoreJournalNow(directory, id);
  const find = <Type extends RestoreRecord["type"]>(type: Type) =>
    records.find((record): record is Extract<RestoreRecord, { type: Type }> => record.type === type);
  const begin = find("begin");
  const reached = records.filter((record) => record.type === "reached");
  const names = begin?.datastores ?? restore.datastores;
  const saved = find("saved");
  const last = findLastWhole(reached, names);
  const phase = find("rolled-back") !== undefined ? "rolled-back" : find("committed") !== undefined ? "committed" : last?.phase;
  const stuck = core.stuckRestores.get(id);
  const application = describeApplication(records);
  return {
    id,
    job: begin?.job ?? restore.job,
    backup: begin?.backup ?? restore.backupName,
    state,
    phase: phase ?? "locked",
    startedAt: isoOf(restore.startedAtMs),
    since: isoOf(reached.at(-1)?.atMs ?? restore.startedAtMs),
    datastores: names.map((datastore) => describeDatastore(records, datastore)),
    application,
    preRestore: restore.preRestore ?? (saved === undefined ? null : { destination: saved.destination, id: saved.id, name: saved.name }),
    places: listPlaces(records, restoreAsideDir(directory, id)),
    journal: restoreJournalPath(directory, id),
    problem: stuck?.message ?? null,
    next: state === "running" ? [] : describeNext({ phase, stuck, application, begin }),
  };
}

/** A phase that each datastore reaches for itself counts when all of them have. */
function findLastWhole(
  reached: readonly Extract<RestoreRecord, { type: "reached" }>[],
  names: readonly string[],
): Extract<RestoreRecord, { type: "reached" }> | undefined {
  return reached.findLast(
    ({ phase, datastore }) =>
      datastore === undefined || names.every((name) => reached.some((other) => other.phase === phase && other.datastore === name)),
  );
}

function describeDatastore(records: readonly RestoreRecord[], datastore: string): RestoreStatus["datastores"][number] {
  const reached = records.flatMap((record) => (record.type === "reached" && record.datastore === datastore ? [record.phase] : []));
  const isBack = records.some(({ type }) => type === "rolled-back");
  if (isBack) return { datastore, phase: "rolled-back", swapped: "no" };
  if (reached.includes("swapped")) return { datastore, phase: "swapped", swapped: "yes" };
  const phases = records.filter(({ type }) => type === "reached");
  // Steps that come after the present data was saved change the target. A journal of an older version does not say when that was.
  const savedAt = phases.length === 0 ? 0 : records.findIndex((record) => record.type === "reached" && record.phase === "saved");
  const isBegun = savedAt !== -1 && records.slice(savedAt).some((record) => record.type === "step" && record.datastore === datastore);
  if (isBegun) return { datastore, phase: "swapping", swapped: "partly" };
  return { datastore, phase: reached.at(-1) ?? (phases.length === 0 ? "locked" : "verified"), swapped: "no" };
}

function describeApplication(records: readonly RestoreRecord[]): RestoreStatus["application"] {
  const has = (type: RestoreRecord["type"]): boolean => records.some((record) => record.type === type);
  if (records.some((record) => record.type === "reached" && record.phase === "started")) return "started";
  if (has("starting")) return "starting";
  return has("stopping") ? "stopped" : "untouched";
}

/** Steps are the drivers' own; whatever in them is an absolute path is worth a look. */
function listPlaces(records: readonly RestoreRecord[], asideDir: string): readonly string[] {
  const paths = records.flatMap((record) => (record.type === "step" ? Object.values(record.step) : []));
  const found = paths.filter((value): value is string => typeof value === "string" && value.startsWith("/") && !value.includes("\n"));
  return [...new Set([...found, ...(found.some((path) => path.startsWith(asideDir)) ? [asideDir] : [])])].slice(0, shownPlaces);
}

interface NextFacts {
  readonly phase: RestorePhase | undefined;
  readonly stuck: StuckRestore | undefined;
  readonly application: RestoreStatus["application"];
  readonly begin: Extract<RestoreRecord, { type: "begin" }> | undefined;
}

function describeNext({ phase, stuck, application, begin }: NextFacts): readonly string[] {
  const what = phase === "committed" ? "finishes it" : "rolls it back";
  const when = stuck === undefined ? "at its next start" : `by itself, next at ${isoOf(stuck.nextAtMs)}; at once by \`holdfast reload\``;
  const byHand = (begin?.start ?? []).map(describeHook);
  return [
    `Holdfast ${what} ${when}`,
    ...(stuck?.hint === undefined ? [] : [stuck.hint]),
    "`journalctl -u holdfast` has the log; leave the journal, and what lies at the places that it names, alone",
    ...(application === "stopped" && byHand.length > 0 ? [`the application stays stopped until then; by hand: ${byHand.join("; ")}`] : []),
  ];
}
