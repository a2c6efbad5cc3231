import { HoldfastError, reportError } from "../base/errors.ts";
import type { Core } from "./core.ts";
import { findEndedRestore } from "./find-ended-restore.ts";
import { findUndone } from "./find-undone.ts";
import type { FinishedRestore } from "./finish-restore.ts";
import { restoreJournalDir } from "./prepare-task.ts";
import { clearStuck, noteStuck } from "./stuck-restores.ts";
import { tellOutcome } from "./tell-run.ts";

/**
 * Puts on record how a restore ended whose worker could not tell it, so that its undo is found, and is not that of an earlier one.
 * @param told whether a failure is told by its run, too
 */
export function noteRestore(
  core: Core,
  { id, job, outcome, message, hint, unwell, preRestore }: FinishedRestore,
  told: "told" | "untold" = "untold",
): void {
  // A failure is in the log already.
  if (outcome !== "failed") core.log.warn(`The restore ${id} ${message}`);
  if (outcome === "failed") noteStuck(core, { id, job, message, ...(hint === undefined ? {} : { hint }) }, told);
  else clearStuck(core, { id, job, message: `The restore ${id} ${message}` }, unwell === undefined ? "well" : "unwell");
  const { restores } = core.catalog;
  const known = restores.get(id);
  if (known === undefined) return;
  core.catalog.transact(() => {
    restores.update(id, { state: outcome, finishedAtMs: core.clock.now(), ...(preRestore === undefined ? {} : { preRestore }) });
    const undoes = outcome === "done" ? findUndone(core, known) : undefined;
    if (undoes !== undefined && restores.get(undoes) !== undefined) restores.update(undoes, { undoneByRestoreId: id });
  });
}

/**
 * After a crash: restores that had come to their end, which the former daemon did not live to note. Their runs end as they did.
 * To be called when their workers are gone and before what is left is called interrupted.
 */
export async function noteEndedRestores(core: Core): Promise<void> {
  const directory = restoreJournalDir(core.config.settings.stateDir);
  const runs = new Map(core.catalog.runs.list({ kind: "restore", states: ["running"] }).map((run) => [run.taskId, run]));
  for (const restore of core.catalog.restores.list()) {
    const run = runs.get(restore.runId);
    if (restore.state !== "running" && run === undefined) continue;
    const ended = await findEndedRestore(directory, restore.id);
    if (ended === undefined) continue;
    noteRestore(core, ended);
    if (run !== undefined) endRun(core, run.id, ended);
  }
}

function endRun(core: Core, runId: string, { outcome, backup, message, unwell }: FinishedRestore): void {
  const summary = `The restore of ${backup} ${message}`;
  const failure = outcome === "done" ? {} : { error: reportError(new HoldfastError("restore-failed", summary)) };
  const state = outcome !== "done" ? "failed" : unwell === undefined ? "ok" : "partial";
  const run = core.catalog.runs.finish(runId, { state, summary, ...failure, details: {}, finishedAtMs: core.clock.now() });
  const task = core.queue.get(run.taskId);
  if (task !== undefined) tellOutcome(core, task, runId, { state, summary, details: {} });
}
