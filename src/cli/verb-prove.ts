import type { CatalogBackup } from "../catalog/contract.ts";
import { errorPolicies, HoldfastError } from "../base/errors.ts";
import { followTask } from "./follow-task.ts";
import type { Verb, VerbContext } from "./verb.ts";

interface Options {
  readonly job?: string;
  readonly destination?: string;
  readonly all?: boolean;
}

/** `verify` and `drill`: the same way, another depth of proof. */
function defineProof(name: "verify" | "drill", description: string): Verb {
  return {
    name,
    define(command, run) {
      command
        .description(description)
        .argument("[backup]", "id, name, or `latest`", "latest")
        .option("--job <job>", "of this job")
        .option("--destination <name>", "at this destination")
        .option("--all", "every backup, not only one")
        .addHelpText("after", "\nExit status 0: all good; 6: at least one is damaged.")
        .action((backup: string, options: Options) => run((context) => prove(name, backup, options, context)));
    },
  };
}

async function prove(
  operation: "verify" | "drill",
  text: string,
  options: Options,
  { connect, terminal, signal }: VerbContext,
): Promise<number> {
  const client = await connect();
  const scope = {
    ...(options.job === undefined ? {} : { job: options.job }),
    ...(options.destination === undefined ? {} : { destination: options.destination }),
  };
  const query = new URLSearchParams({ ...scope, limit: "1000" });
  const wanted =
    options.all === true
      ? (await client.send<readonly CatalogBackup[]>({ method: "GET", path: `/backups?${query.toString()}` }, signal)).map(
          ({ id, destination }) => ({ text: id, scope: { ...scope, destination } }),
        )
      : [{ text, scope }];
  const results: { backup: string; outcome: string; summary: string }[] = [];
  let exit = 0;
  for (const one of wanted) {
    const asked = await client.send<{ task: string; backup: string }>(
      { method: "POST", path: `/backups/${encodeURIComponent(one.text)}/${operation}`, body: one.scope },
      signal,
    );
    try {
      const outcome = await followTask(client, asked.task, terminal, signal);
      results.push({ backup: asked.backup, outcome: outcome.state, summary: outcome.summary });
      if (terminal.json === "text") terminal.print(`${terminal.colors.green("ok")}  ${outcome.summary}`);
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      exit = Math.max(exit, errorPolicies[error.code].exit);
      results.push({ backup: asked.backup, outcome: "failed", summary: error.message });
      if (terminal.json === "text") terminal.print(`${terminal.colors.red("failed")}  ${error.message}`);
    }
  }
  if (terminal.json === "json") terminal.printJson(results);
  return exit;
}

export const verifyVerb = defineProof(
  "verify",
  "Read stored backups to their end: every hash, every format, contents against the manifest",
);
export const drillVerb = defineProof("drill", "Restore backups into a scratch place and compare contents: proof that they restore");
