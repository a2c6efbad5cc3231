import type { CatalogBackup } from "../catalog/contract.ts";
import { createStaysError, type DeletionPlan } from "../operations/describe-deletion.ts";
import { confirmOrFail } from "./ask.ts";
import { printBackups } from "./describe-backup.ts";
import { finishAsked, type AskedTask } from "./finish-asked.ts";
import { addScopeOptions, backupForms, createBackupPath, pickScope, type ScopeOptions } from "./pick-scope.ts";
import type { Verb, VerbContext } from "./verb.ts";

interface Options extends ScopeOptions {
  readonly plan?: boolean;
  readonly yes?: boolean;
  readonly force?: boolean;
  readonly detach?: boolean;
}

interface ShownPlan extends DeletionPlan {
  readonly backup: CatalogBackup;
}

export const deleteVerb: Verb = {
  name: "delete",
  help: {
    exits: { 0: "removed", 4: "no such backup", 7: "not confirmed, or refused: pinned, in use, or the last verified one" },
    json: "{task, state, summary, runId, backupId, details: {removed, failed}}; with --plan {backup, refusals, hint}",
    examples: ["holdfast delete nightly_20260101_030000", "holdfast delete nightly_20260101_030000 --plan"],
  },
  define(command, run) {
    addScopeOptions(command.description("Remove one backup on purpose").argument("<backup>", backupForms))
      .option("--plan", "show what would go and what speaks against it, and do nothing")
      .option("-y, --yes", "do not ask")
      .option("--force", "even if it is pinned, or the last verified one")
      .option("--detach", "print the task and do not wait")
      .action((backup: string, options: Options) => run((context) => remove(backup, options, context)));
  },
};

async function remove(text: string, options: Options, context: VerbContext): Promise<number> {
  const { terminal, signal } = context;
  const client = await context.connect();
  const path = createBackupPath(text, "/deletion-plan", { ...pickScope(options) });
  const { backup, ...plan } = await client.send<ShownPlan>({ method: "GET", path }, signal);
  if (options.plan === true && terminal.json === "json") {
    terminal.printJson({ backup, ...plan });
    return 0;
  }
  if (terminal.json === "text") {
    printBackups([backup], terminal);
    for (const refusal of plan.refusals) terminal.tell(`${terminal.colors.red("!")} ${refusal}`);
  }
  if (options.plan === true) return 0;
  if (plan.refusals.length > 0 && options.force !== true) throw createStaysError(backup, plan);
  await confirmOrFail(terminal, { message: `Remove ${backup.name} from "${backup.destination}"?`, yes: options.yes === true }, signal);
  const query = { destination: backup.destination, force: options.force === true ? "yes" : undefined };
  const asked = await client.send<AskedTask>({ method: "DELETE", path: createBackupPath(backup.id, "", query) }, signal);
  return await finishAsked(context, client, asked, options.detach === undefined ? {} : { detach: options.detach });
}
