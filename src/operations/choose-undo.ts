import { formatInstant } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Restore } from "../catalog/contract.ts";
import type { Core } from "./core.ts";
import { findUndone } from "./find-undone.ts";
import { listOfflineRestores, type OfflineRestore } from "./list-offline-restores.ts";

type Undoable = Restore & Required<Pick<Restore, "preRestore">>;

export interface ChosenUndo {
  readonly restore: Undoable;
  /** Of an undo: the restore at the beginning, and whether its data comes back now or what was there before it. Null of any other restore. */
  readonly undoOf: { readonly restore: Restore; readonly bringsBack: "restored" | "former" } | null;
}

const shown = 5;

/**
 * The restore that an undo takes back: the one with the id, else the newest that is done. None older stands in for it, which would take
 * away what the newer one has restored.
 * @throws nothing-to-undo; refused when the newest cannot be undone and an older one can
 */
export function chooseUndo(core: Core, id?: string): ChosenUndo {
  const restores = core.catalog.restores.list();
  const able = restores.filter((restore) => isUndoable(core, restore));
  const meant = restores.find((restore) => (id === undefined ? restore.state === "done" : restore.id === id));
  if (meant === undefined || !isUndoable(core, meant)) {
    const why = meant === undefined ? undefined : findObstacle(core, meant);
    if (id === undefined && meant !== undefined && able.length > 0) throw createRefusal(meant, `cannot be undone: ${why}`, able);
    throw createNothing(
      id,
      meant === undefined ? "" : `: ${id === undefined ? `of the newest, ${describeRestore(meant)}, ` : ""}${why}`,
      able,
    );
  }
  if (id === undefined) assertNewest(core, restores, meant, able);
  return { restore: meant, undoOf: findFirst(restores, meant) };
}

function createNothing(id: string | undefined, why: string, able: readonly Undoable[]): HoldfastError {
  const what = id === undefined ? "There is no restore that can be undone" : `The restore ${id} cannot be undone`;
  const hint =
    able.length === 0
      ? "`holdfast list --pre-restore` shows what was saved before restores."
      : `These can: ${able.map((restore) => restore.id).join(", ")}.`;
  return new HoldfastError("nothing-to-undo", `${what}${why}`, { hint });
}

/** Not where a restore of the same data goes on or is still to come, or was made without the daemon since. */
function assertNewest(core: Core, restores: readonly Restore[], newest: Undoable, able: readonly Undoable[]): void {
  const open = restores
    .slice(0, restores.indexOf(newest))
    .find((restore) => isOpen(core, restore) && findUndone(core, restore) !== newest.id && overlaps(restore, newest));
  if (open !== undefined) throw createRefusal(open, "has not come to its end", able);
  const endedAtMs = newest.finishedAtMs ?? newest.startedAtMs;
  const offline = listOfflineRestores(core).find((restore) => restore.finishedAtMs > endedAtMs && overlaps(restore, newest));
  if (offline !== undefined) throw createRefusal(offline, describeOffline(offline), able);
}

function isUndoable(core: Core, restore: Restore): restore is Undoable {
  return restore.preRestore !== undefined && findObstacle(core, restore) === undefined;
}

/** Why it cannot be undone, if so. */
function findObstacle(
  { catalog }: Core,
  { state, preRestore, databases = {}, datastores, undoneByRestoreId }: Restore,
): string | undefined {
  if (state !== "done") return state === "running" ? "it has not come to its end" : "its data was not kept";
  if (undoneByRestoreId !== undefined) return `${undoneByRestoreId} has undone it`;
  if (preRestore !== undefined) {
    if (catalog.backups.get(preRestore.destination, preRestore.id) !== undefined) return undefined;
    return `what was saved before it, ${preRestore.name}, is not at "${preRestore.destination}" any more`;
  }
  if (datastores.every((name) => databases[name] !== undefined))
    return `it made ${Object.values(databases).join(", ")} and replaced nothing`;
  return "what was there before it could not be saved, and may lie aside beside the data";
}

function describeOffline({ saved }: OfflineRestore): string {
  const how =
    saved === undefined
      ? "it saved nothing before"
      : `what was there before is saved as ${saved}; its own output says how that is restored`;
  return `was made offline, so it cannot be undone here: ${how}`;
}

function isOpen({ queue }: Core, { state, runId }: Restore): boolean {
  const task = queue.get(runId);
  return state === "running" && task !== undefined && ["waiting", "running", "recovering"].includes(task.state);
}

type Described = Pick<Restore, "id" | "backupName" | "datastores" | "finishedAtMs"> & Partial<Pick<Restore, "startedAtMs" | "databases">>;

function overlaps(one: Pick<Restore, "datastores">, other: Pick<Restore, "datastores">): boolean {
  return one.datastores.some((name) => other.datastores.includes(name));
}

function describeRestore(restore: Described): string {
  return `${restore.id} of ${restore.backupName} (${describeScope(restore)})`;
}

function describeScope({ datastores, finishedAtMs, startedAtMs }: Described): string {
  return `${datastores.join(", ")}, ${formatInstant(finishedAtMs ?? startedAtMs ?? 0)}`;
}

function createRefusal(newer: Described, why: string, able: readonly Undoable[]): HoldfastError {
  const commands = able.slice(0, shown).map((restore) => `\`holdfast undo ${restore.id}\` (${describeScope(restore)})`);
  const more = able.length > shown ? ` and ${able.length - shown} more` : "";
  const replaced = newer.datastores.filter((name) => newer.databases?.[name] === undefined);
  const shared = replaced.filter((name) => able.some(({ datastores }) => datastores.includes(name)));
  const loss = shared.length === 0 ? "" : ` This takes away what ${newer.id} has restored into ${shared.join(", ")}.`;
  return new HoldfastError("refused", `The newest restore, ${describeRestore(newer)}, ${why}`, {
    hint: `To undo an older one on purpose: ${commands.join(", ")}${more}.${loss}`,
  });
}

function findFirst(restores: readonly Restore[], undo: Restore): ChosenUndo["undoOf"] {
  let first = undo;
  let bringsBack: "restored" | "former" = "former";
  for (;;) {
    const { id } = first;
    const undone = restores.find(({ undoneByRestoreId }) => undoneByRestoreId === id);
    if (undone === undefined) return first === undo ? null : { restore: first, bringsBack };
    first = undone;
    bringsBack = bringsBack === "former" ? "restored" : "former";
  }
}
