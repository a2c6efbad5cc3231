import { describeBytes } from "../base/describe-amount.ts";
import type { RemovalPlan } from "../retention/plan-removal.ts";
import { confirmOrFail } from "./ask.ts";
import { finishAsked, paintState, type AskedTask } from "./finish-asked.ts";
import { printTable } from "./format-table.ts";
import type { Terminal } from "./terminal.ts";
import type { Verb, VerbContext } from "./verb.ts";

interface Options {
  readonly destination?: string;
  readonly olderThan?: string;
  readonly plan?: boolean;
  readonly yes?: boolean;
  readonly detach?: boolean;
}

export const pruneVerb: Verb = {
  name: "prune",
  help: {
    exits: { 0: "done, or there was nothing to remove", 1: "something could not be removed", 4: "no such job", 7: "not confirmed" },
    json: "{task, state, summary, details: {removed, failed}} or {task: null, summary} when nothing goes; with --plan {rows: [{id, name, ageMs, age, bytes, size, action: keep|remove, reasons}], keepCount, removeCount, freedBytes, summary}",
    examples: [
      "holdfast prune nightly --plan",
      "holdfast prune nightly",
      "holdfast prune nightly --older-than 30d",
      "holdfast prune nightly --destination nas --yes",
    ],
  },
  define(command, run) {
    command
      .description("Apply a job's retention now; it never takes the last verified backup, a pinned one, or one in use")
      .argument("<job>", "job of the config")
      .option("--destination <name>", "at this destination (default: the job's)")
      .option("--older-than <age>", "by this age instead of the job's retention, counted from the newest good backup")
      .option("--plan", "show every verdict with its reasons, and do nothing")
      .option("-y, --yes", "do not ask")
      .option("--detach", "print the task and do not wait")
      .action((job: string, options: Options) => run((context) => prune(job, options, context)));
  },
};

async function prune(job: string, options: Options, context: VerbContext): Promise<number> {
  const { terminal, signal } = context;
  const client = await context.connect();
  const { destination, olderThan } = options;
  const scope = { ...(destination === undefined ? {} : { destination }), ...(olderThan === undefined ? {} : { olderThan }) };
  const path = `/jobs/${encodeURIComponent(job)}`;
  const query = new URLSearchParams(scope).toString();
  const plan = await client.send<RemovalPlan>({ method: "GET", path: `${path}/retention${query === "" ? "" : `?${query}`}` }, signal);
  if (options.plan === true) {
    if (terminal.json === "json") terminal.printJson(plan);
    else printVerdicts(plan, terminal);
    return 0;
  }
  if (plan.removeCount > 0) {
    if (terminal.json === "text") printVerdicts(plan, terminal);
    const message = `Remove ${plan.removeCount} backup${plan.removeCount === 1 ? "" : "s"} (${describeBytes(plan.freedBytes)})?`;
    await confirmOrFail(terminal, { message, yes: options.yes === true }, signal);
  }
  const asked = await client.send<{ readonly task: string | null }>({ method: "POST", path: `${path}/prune`, body: scope }, signal);
  if (asked.task === null) {
    if (terminal.json === "json") terminal.printJson({ task: null, summary: "nothing to remove" });
    else terminal.print("ok: nothing to remove");
    return 0;
  }
  const task: AskedTask = { task: asked.task };
  return await finishAsked(context, client, task, options.detach === undefined ? {} : { detach: options.detach });
}

function printVerdicts(plan: RemovalPlan, terminal: Terminal): void {
  const rows = plan.rows.map(({ action, name, age, size, bytes, reasons }) => [
    paintState(terminal, action),
    name,
    age,
    terminal.reader === "person" ? size : String(bytes ?? ""),
    reasons,
  ]);
  printTable(terminal, ["verdict", "name", "age", "size", "reasons"], rows);
  terminal.tell(plan.summary);
}
