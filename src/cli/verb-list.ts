import Table from "cli-table3";
import type { CatalogBackup } from "../catalog/contract.ts";
import { describeAge, describeBytes } from "../base/describe-amount.ts";
import type { Terminal } from "./terminal.ts";
import type { Verb } from "./verb.ts";

interface Options {
  readonly job?: string;
  readonly destination?: string;
  readonly preRestore?: boolean;
  readonly limit: string;
}

export const listVerb: Verb = {
  name: "list",
  define(command, run) {
    command
      .description("Backups, newest first, with sizes, ages and proofs")
      .argument("[job]", "only of this job")
      .option("--destination <name>", "only at this destination")
      .option("--pre-restore", "what was saved before restores")
      .option("--limit <count>", "at most so many", "50")
      .action((job: string | undefined, options: Options) =>
        run(async ({ connect, terminal, signal }) => {
          const query = new URLSearchParams({ limit: options.limit, class: options.preRestore === true ? "pre-restore" : "backup" });
          if (job !== undefined) query.set("job", job);
          if (options.destination !== undefined) query.set("destination", options.destination);
          const backups = await (
            await connect()
          ).send<readonly CatalogBackup[]>({ method: "GET", path: `/backups?${query.toString()}` }, signal);
          if (terminal.json === "json") terminal.printJson(backups);
          else printBackups(backups, terminal);
          return 0;
        }),
      );
  },
};

export function printBackups(backups: readonly CatalogBackup[], terminal: Terminal): void {
  if (backups.length === 0) return terminal.print("No backups.");
  const table = new Table({
    head: ["name", "job", "at", "age", "size", "state"],
    style: { head: [], border: [], compact: true },
    chars: {
      top: "",
      "top-mid": "",
      "top-left": "",
      "top-right": "",
      bottom: "",
      "bottom-mid": "",
      "bottom-left": "",
      "bottom-right": "",
      left: "",
      "left-mid": "",
      mid: "",
      "mid-mid": "",
      right: "",
      "right-mid": "",
      middle: "  ",
    },
  });
  for (const backup of backups) {
    table.push([
      backup.name,
      backup.job,
      backup.destination,
      describeAge(Date.now() - backup.createdAtMs),
      describeBytes(backup.storedBytes),
      describeState(backup),
    ]);
  }
  terminal.print(table.toString());
}

/** In a few words what a person must know of a backup before trusting it. */
export function describeState(backup: CatalogBackup): string {
  const words = [
    backup.damaged !== null
      ? "DAMAGED"
      : backup.status === "partial"
        ? "partial"
        : backup.verifiedAtMs === null
          ? "unverified"
          : "verified",
    ...(backup.suspect.length > 0 && backup.accepted === null ? ["suspect"] : []),
    ...(backup.drilledAtMs === null ? [] : ["drilled"]),
    ...(backup.pinned === null ? [] : ["pinned"]),
    ...(backup.note === null ? [] : [`"${backup.note}"`]),
  ];
  return words.join(", ");
}
