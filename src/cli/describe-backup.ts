import { describeAge, describeBytes } from "../base/describe-amount.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import { paintState } from "./finish-asked.ts";
import { printTable } from "./format-table.ts";
import type { Terminal } from "./terminal.ts";

/** A table of backups, or one line each: name, job, destination, instant, bytes, state, members, note. */
export function printBackups(backups: readonly CatalogBackup[], terminal: Terminal): void {
  if (terminal.reader === "program") {
    for (const backup of backups) terminal.print(describeRow(backup).join("\t"));
    return;
  }
  if (backups.length === 0) return terminal.print("No backups.");
  printTable(
    terminal,
    ["name", "job", "at", "age", "size", "state", "datastores", "note"],
    backups.map((backup) => [
      backup.name,
      backup.job,
      backup.destination,
      describeAge(Date.now() - backup.createdAtMs),
      describeBytes(backup.storedBytes),
      listStates(backup)
        .map((state) => paintState(terminal, state))
        .join(", "),
      describeMembers(backup),
      backup.note ?? "",
    ]),
  );
}

function describeRow(backup: CatalogBackup): readonly string[] {
  const { name, job, destination, createdAtMs, storedBytes, note } = backup;
  const at = new Date(createdAtMs).toISOString();
  const cells = [name, job, destination, at, String(storedBytes), listStates(backup).join(","), describeMembers(backup), note ?? ""];
  return cells.map((cell) => cell.replaceAll(/[\t\n]/g, " "));
}

/** What a person must know of a backup before trusting it, the gravest first. */
export function listStates(backup: CatalogBackup): readonly string[] {
  const health =
    backup.damaged !== null
      ? "DAMAGED"
      : backup.status === "partial"
        ? "partial"
        : backup.verifiedAtMs === null
          ? "unverified"
          : "verified";
  return [
    ...(backup.missingSinceMs === null ? [] : ["missing"]),
    health,
    ...(backup.suspect.length > 0 && backup.accepted === null ? ["suspect"] : []),
    ...(backup.drilledAtMs === null ? [] : ["drilled"]),
    ...(backup.pinned === null ? [] : ["pinned"]),
  ];
}

/** Which datastores it holds; others by what became of them (W3). */
export function describeMembers({ members }: CatalogBackup): string {
  return members.map(({ datastore, status }) => (status === "ok" ? datastore : `${datastore} (${status})`)).join(", ");
}

export function describeState(backup: CatalogBackup): string {
  return listStates(backup).join(", ");
}
