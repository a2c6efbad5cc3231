import type { ManifestMember } from "../archive/manifest.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { TargetFacts } from "../datastores/contract.ts";
import { runBackup, type BackupResult } from "./backup.ts";
import type { BackupSetup, DatastoreSetup, TaskPorts } from "./setup.ts";

interface PresentTarget {
  readonly member: Pick<ManifestMember, "datastore">;
  readonly facts: Pick<TargetFacts, "present" | "holds">;
}

/** The pre-restore backup, of absence too, so that an undo brings that about again; where only that cannot be noted, it is told. Data that cannot be saved needs an explicit word and is then left aside as it is. */
export async function savePresent(
  setup: { readonly preRestore: BackupSetup; readonly unsavable: "refuse" | "raw" },
  targets: readonly PresentTarget[],
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<BackupResult | undefined> {
  const isNothing = targets.every(({ facts }) => !facts.present);
  ports.progress({ phase: "saving the present data" });
  try {
    // What is not there now is saved as absent, so that an undo brings that about again.
    const facts = new Map(targets.map((target) => [target.member.datastore, target.facts]));
    const datastores = setup.preRestore.datastores.map((each): DatastoreSetup => {
      const { present = true, holds } = facts.get(each.name) ?? {};
      if (!present) return { ...each, onMissing: "absent" };
      if (holds === "nothing") return each;
      // Left out it is kept aside, and an undo leaves it alone.
      return { ...each, known: "present", ...(setup.unsavable === "raw" ? { onMissing: "skip" } : {}) };
    });
    // Layout `file` is one file of the data, and there may be none.
    const mayBeEmpty = targets.every(({ facts: { present, holds } }) => !present || holds === "nothing");
    const layout = mayBeEmpty && setup.preRestore.layout === "file" ? "archive" : setup.preRestore.layout;
    return await runBackup({ ...setup.preRestore, layout, datastores }, ports, signal);
  } catch (error) {
    if (isNothing && !signal.aborted) {
      ports.log("warn", `Nothing was there, and that could not be noted, so there will be no undo: ${describeCause(error)}`);
      return undefined;
    }
    if (setup.unsavable === "raw" && !signal.aborted) {
      ports.log("warn", `The present data cannot be backed up and is left aside as it is: ${describeCause(error)}`);
      return undefined;
    }
    throw createUnsavableError(error);
  }
}

export function createUnsavableError(error: unknown): HoldfastError {
  return new HoldfastError("restore-failed", `The present data cannot be saved first: ${describeCause(error)}`, {
    cause: error,
    hint: "If it is damaged, or its server is stopped, and you want it moved aside as it is, restore with --unsavable=raw.",
  });
}

/** Whether what was put aside may go. What a partial backup had to leave out is nowhere else. */
export function isSaved(preRestore: BackupResult | undefined, ports: TaskPorts): boolean {
  if (preRestore === undefined || preRestore.manifest.status === "ok") return preRestore !== undefined;
  const { name, members } = preRestore.manifest;
  const lacks = members.flatMap(({ notes }) => notes.filter(({ level }) => level === "partial").map(({ message }) => message));
  ports.log("warn", `The backup of what was there before, ${name}, is partial, so what was there also stays aside beside the data`, {
    lacks,
  });
  return false;
}
