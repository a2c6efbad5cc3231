import { readdirSync } from "node:fs";
import { readErrno } from "../base/errors.ts";
import type { Core } from "./core.ts";
import { offlineJournalDir, restoreJournalDir } from "./prepare-task.ts";
import { readRestoreJournalNow, restoreJournalId, type RestoreRecord } from "./restore-journal.ts";

/** A restore that came to its end without the daemon: its journal is all that is known of it. */
export interface OfflineRestore {
  readonly id: string;
  readonly backupName: string;
  readonly datastores: readonly string[];
  readonly finishedAtMs: number;
  /** The backup of what was there before, wherever it was put. */
  readonly saved: string | undefined;
}

/** Newest first. */
export function listOfflineRestores({ config, catalog }: Core): readonly OfflineRestore[] {
  const { stateDir } = config.settings;
  return [restoreJournalDir(stateDir), offlineJournalDir(stateDir)]
    .flatMap((directory) =>
      listIds(directory)
        .filter((id) => catalog.restores.get(id) === undefined)
        .flatMap((id) => describe(readRestoreJournalNow(directory, id))),
    )
    .toSorted((a, b) => b.finishedAtMs - a.finishedAtMs);
}

function listIds(directory: string): readonly string[] {
  try {
    return readdirSync(directory).flatMap((name) => restoreJournalId(name) ?? []);
  } catch (error) {
    if (readErrno(error) === "ENOENT") return [];
    throw error;
  }
}

function describe(records: readonly RestoreRecord[]): readonly OfflineRestore[] {
  const begin = records.find((record) => record.type === "begin");
  if (begin === undefined || !records.some(({ type }) => type === "committed")) return [];
  const end = records.find((record) => record.type === "end");
  const reached = records.findLast((record) => record.type === "reached");
  return [
    {
      id: begin.id,
      backupName: begin.backup,
      datastores: begin.datastores,
      finishedAtMs: end === undefined ? (reached?.atMs ?? Date.parse(begin.at)) : Date.parse(end.at),
      saved: records.find((record) => record.type === "saved")?.name,
    },
  ];
}
