import { errorPolicies, HoldfastError } from "../base/errors.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { ControlClient } from "../control/client.ts";
import type { AskedTask } from "./finish-asked.ts";
import { followTask } from "./follow-task.ts";
import { backupForms, createBackupPath, pickScope, type ScopeOptions } from "./pick-scope.ts";
import { printProof, type Proof } from "./print-proof.ts";
import type { Verb, VerbContext } from "./verb.ts";

type Operation = "verify" | "drill";

interface Options extends ScopeOptions {
  readonly all?: boolean;
  readonly offline?: string;
}

/** `verify` and `drill`: the same way, another depth of proof. */
function defineProof(name: Operation, description: string, examples: readonly string[]): Verb {
  return {
    name,
    help: {
      exits: { 0: "all good", 4: "no such backup", 5: "cancelled, or the wait was interrupted", 6: "at least one is damaged" },
      json: "[{backup, destination, outcome: ok|failed, summary, hint}]",
      examples,
    },
    define(command, run) {
      command
        .description(description)
        .argument("[backup]", `${backupForms}, or \`latest\` (default: latest)`)
        .option("--job <job>", "of this job")
        .option("--destination <name>", "at this destination")
        .option("--all", "every backup, not only one");
      if (name === "verify") command.option("--offline <path>", "read this directory or backup; needs no daemon, catalog or config");
      command.action((backup: string | undefined, options: Options) => run((context) => prove(name, backup, options, context)));
    },
  };
}

async function prove(operation: Operation, backup: string | undefined, options: Options, context: VerbContext): Promise<number> {
  const { connect, terminal, signal } = context;
  if (options.offline !== undefined) {
    const { verifyOffline } = await import("./offline/verify-offline.ts");
    return await verifyOffline(context, {
      path: options.offline,
      ...(backup === undefined ? {} : { backup }),
      ...(options.job === undefined ? {} : { job: options.job }),
      ...(options.all === undefined ? {} : { all: options.all }),
    });
  }
  if (options.all === true && backup !== undefined)
    throw new HoldfastError("usage", "A backup and --all exclude each other", { hint: "Leave one of them out." });
  const client = await connect();
  const scope = pickScope(options);
  const wanted = options.all === true ? await listAll(client, scope, signal) : [{ text: backup ?? "latest", scope }];
  const proofs: Proof[] = [];
  let exit = 0;
  for (const one of wanted) {
    const { proof, status } = await proveOne(operation, one, client, context);
    exit = Math.max(exit, status);
    proofs.push(proof);
    if (terminal.json === "text") printProof(proof, terminal);
  }
  if (terminal.json === "json") terminal.printJson(proofs);
  else if (wanted.length === 0) terminal.tell("No backups.");
  return exit;
}

interface Wanted {
  readonly text: string;
  readonly scope: ScopeOptions;
}

async function listAll(client: ControlClient, scope: ScopeOptions, signal: AbortSignal): Promise<readonly Wanted[]> {
  const query = new URLSearchParams({ ...scope, limit: "1000" });
  const backups = await client.send<readonly CatalogBackup[]>({ method: "GET", path: `/backups?${query.toString()}` }, signal);
  return backups.map(({ id, destination }) => ({ text: id, scope: { ...scope, destination } }));
}

/** A backup that is not good is a result; anything that keeps from finding out about any is an error. */
async function proveOne(
  operation: Operation,
  { text, scope }: Wanted,
  client: ControlClient,
  { terminal, signal }: VerbContext,
): Promise<{ readonly proof: Proof; readonly status: number }> {
  const asked = await client.send<AskedTask & { readonly backup: string }>(
    { method: "POST", path: createBackupPath(text, `/${operation}`), body: scope },
    signal,
  );
  const place = { backup: asked.backup, destination: scope.destination ?? null };
  try {
    const { summary } = await followTask(client, asked.task, terminal, signal);
    return { proof: { ...place, outcome: "ok", summary, hint: null }, status: 0 };
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code === "cancelled" || error.code === "daemon-unreachable") throw error;
    const { message: summary, hint = null } = error;
    return { proof: { ...place, outcome: "failed", summary, hint }, status: errorPolicies[error.code].exit };
  }
}

export const verifyVerb = defineProof(
  "verify",
  "Read stored backups to their end: every hash, every format, contents against the manifest",
  [
    "holdfast verify",
    "holdfast verify nightly_20260101_030000",
    "holdfast verify --all --job nightly",
    "holdfast verify --offline /mnt/usb/backups --all",
  ],
);
export const drillVerb = defineProof("drill", "Restore backups into a scratch place and compare contents: proof that they restore", [
  "holdfast drill",
  "holdfast drill latest --job nightly",
]);
