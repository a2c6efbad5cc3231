import { formatInstant } from "../base/clock.ts";
import type { ChosenUndo } from "../operations/choose-undo.ts";
import type { RestorePlan } from "../operations/plan-restore.ts";
import { assertRestoreFits } from "../operations/forecast-restore.ts";
import { confirmNameOrFail } from "./ask.ts";
import { describePlan, findConfirmedName } from "./describe-plan.ts";
import { finishAsked, type AskedTask } from "./finish-asked.ts";
import { createBackupPath } from "./pick-scope.ts";
import type { Verb, VerbContext } from "./verb.ts";

interface Options {
  readonly plan?: boolean;
  readonly yes?: boolean;
  readonly start: boolean;
  readonly keep?: boolean;
  readonly detach?: boolean;
}

export const undoVerb: Verb = {
  name: "undo",
  help: {
    exits: {
      0: "the data is as it was before the restore",
      1: "failed: nothing has changed",
      3: "the data is as it was before the restore, but the application could not be started or, with --keep, did not pass its checks",
      4: "there is no restore that can be undone",
      5: "busy, cancelled, or the wait was interrupted",
      7: "not confirmed, or the newest restore cannot be undone: no older one is taken in its place",
    },
    json: "as restore; with --plan {restore: {id, job, backupName, startedAtMs, preRestore: {name, …}, …}, undoOf: {restore, bringsBack: restored|former} | null, plan} with the plan of restore --plan; undoOf: the restore that is back, or away, when an undo is undone",
    examples: ["holdfast undo", "holdfast undo --plan", "holdfast undo 1m7yr3p8bta2hw779xy6 --yes"],
  },
  define(command, run) {
    command
      .description("Take a restore back: bring back what was there before it, absence included; the undo of an undo is the restore again")
      .argument("[restore]", "id of the restore (default: the newest, and none older in its place)")
      .option("--plan", "show what would happen, and do nothing")
      .option("-y, --yes", "do not ask")
      .option("--no-start", "leave the application stopped")
      .option("--keep", "keep what is brought back even when a health check fails")
      .option("--detach", "print the task and do not wait")
      .action((restore: string | undefined, options: Options) => run((context) => undo(restore, options, context)));
  },
};

async function undo(id: string | undefined, options: Options, context: VerbContext): Promise<number> {
  const { terminal, signal } = context;
  const client = await context.connect();
  const path = `/undo${id === undefined ? "" : `?${new URLSearchParams({ restore: id }).toString()}`}`;
  const choice = await client.send<ChosenUndo>({ method: "GET", path }, signal);
  const { restore, undoOf } = choice;
  const { preRestore } = restore;
  const query = {
    destination: preRestore.destination,
    // Of a whole restore all that was saved comes back: what was left aside as it is was not.
    ...(restore.tables === undefined ? {} : { datastores: restore.datastores.join(","), tables: JSON.stringify(restore.tables) }),
    ...(restore.paths === undefined ? {} : { datastores: restore.datastores.join(","), paths: JSON.stringify(restore.paths) }),
  };
  const plan = await client.send<RestorePlan>({ method: "GET", path: createBackupPath(preRestore.id, "/restore-plan", query) }, signal);
  const lines = [describeChoice(choice), "", ...describePlan(plan, terminal)];
  if (options.plan === true) {
    if (terminal.json === "json") terminal.printJson({ restore, undoOf, plan });
    else for (const line of lines) terminal.print(line);
    return 0;
  }
  if (terminal.json === "text") for (const line of lines) terminal.tell(line);
  if (options.yes !== true) assertRestoreFits(plan.space ?? []);
  const message =
    undoOf === null ? `Undo the restore of ${restore.backupName}?` : `Undo the undo, and bring back ${describeComing(undoOf)}?`;
  await confirmNameOrFail(terminal, { message, name: findConfirmedName(plan), yes: options.yes === true }, signal);
  const body = { restore: restore.id, start: options.start ? "yes" : "no", ...(options.keep === true ? { keep: "yes" } : {}) };
  const asked = await client.send<AskedTask>({ method: "POST", path: "/undo", body }, signal);
  return await finishAsked(context, client, asked, {
    ...(options.detach === undefined ? {} : { detach: options.detach }),
    describe: () => [undoOf === null ? `Undone: the restore ${restore.id}.` : `An undo is undone: back is ${describeComing(undoOf)}.`],
  });
}

/** Which restore that is, and of an undo what comes back. */
function describeChoice({ restore, undoOf }: ChosenUndo): string {
  const scope = `(${restore.datastores.join(", ")}, ${formatInstant(restore.finishedAtMs ?? restore.startedAtMs)})`;
  return undoOf === null
    ? `Undoes the restore ${restore.id} of ${restore.backupName} ${scope}.`
    : `Undoes the undo ${restore.id} ${scope}: brings back ${describeComing(undoOf)}.`;
}

function describeComing({ restore, bringsBack }: NonNullable<ChosenUndo["undoOf"]>): string {
  const which = `the restore ${restore.id} of ${restore.backupName}`;
  return bringsBack === "restored" ? `what ${which} had restored` : `once more what was there before ${which}`;
}
