import type { CatalogBackup } from "../catalog/contract.ts";
import { listStates } from "./describe-backup.ts";
import { addScopeOptions, backupForms, createBackupPath, pickScope, type ScopeOptions } from "./pick-scope.ts";
import type { Verb } from "./verb.ts";

interface Options extends ScopeOptions {
  readonly reason?: string;
}

interface MarkSpec {
  readonly name: "pin" | "unpin" | "accept";
  readonly mark: "pinned" | "unpinned" | "accepted";
  readonly description: string;
  readonly reason: "wanted" | "none";
  readonly done: string;
  readonly exits: Readonly<Record<number, string>>;
  readonly examples: readonly string[];
}

/** `pin`, `unpin`, `accept`: a fact that is kept beside the backup. */
function defineMark({ name, mark, description, reason, done, exits, examples }: MarkSpec): Verb {
  return {
    name,
    help: { exits, json: "the backup as list prints it, with its new marks", examples },
    define(command, run) {
      addScopeOptions(command.description(description).argument("<backup>", `${backupForms}, or \`latest\``));
      if (reason === "wanted") command.option("--reason <text>", "why; kept with the backup", "");
      command.action((backup: string, options: Options) =>
        run(async ({ connect, terminal, signal }) => {
          const body = { ...pickScope(options), mark, text: options.reason ?? "" };
          const client = await connect();
          const marked = await client.send<CatalogBackup>({ method: "POST", path: createBackupPath(backup, "/marks"), body }, signal);
          if (terminal.json === "json") terminal.printJson(marked);
          else terminal.print(`${marked.name} ${done} (${listStates(marked).join(", ")})`);
          return 0;
        }),
      );
    },
  };
}

export const pinVerb = defineMark({
  name: "pin",
  mark: "pinned",
  description: "Keep a backup whatever retention says",
  reason: "wanted",
  done: "is pinned",
  exits: { 4: "no such backup" },
  examples: ["holdfast pin nightly_20260101_030000 --reason 'before the move'"],
});

export const unpinVerb = defineMark({
  name: "unpin",
  mark: "unpinned",
  description: "Leave a pinned backup to retention again",
  reason: "none",
  done: "is not pinned any more",
  exits: { 4: "no such backup" },
  examples: ["holdfast unpin nightly_20260101_030000"],
});

export const acceptVerb = defineMark({
  name: "accept",
  mark: "accepted",
  description: "Say that a suspect backup is right; retention goes on",
  reason: "wanted",
  done: "is accepted",
  exits: { 4: "no such backup", 5: "it is not suspect" },
  examples: ["holdfast accept nightly_20260101_030000 --reason 'old messages were removed'"],
});
