import { describeUnwell, type FinishedRestore } from "./finish-restore.ts";
import { readRestoreJournal } from "./restore-journal.ts";

/** How a restore ended by its own account, whoever has heard of it; undefined when it has not, or its journal cannot be read. */
export async function findEndedRestore(directory: string, id: string): Promise<FinishedRestore | undefined> {
  const records = await readRestoreJournal(directory, id);
  const end = records.at(-1);
  if (end?.type !== "end") return undefined;
  const begin = records.find((record) => record.type === "begin");
  const saved = records.find((record) => record.type === "saved");
  const committed = records.find((record) => record.type === "committed");
  const unwell = committed === undefined ? undefined : describeUnwell(committed);
  return {
    id,
    job: begin?.job ?? "",
    backup: begin?.backup ?? "",
    outcome: end.outcome,
    message:
      end.outcome === "done"
        ? `had come to its end before it could be noted: the restored data is in place${unwell === undefined ? "" : `, but ${unwell}`}`
        : `was rolled back: ${end.message}`,
    ...(unwell === undefined ? {} : { unwell }),
    preRestore: saved === undefined ? undefined : { destination: saved.destination, id: saved.id, name: saved.name },
  };
}
