import type { Command } from "commander";

export interface ScopeOptions {
  readonly job?: string;
  readonly destination?: string;
}

/** What a person may name a backup by, for the help of verbs. */
export const backupForms = "id, name, path or time (20260101_030000)";

/** Which of several backups with one name, or which job's `latest`. */
export function addScopeOptions(command: Command): Command {
  return command.option("--job <job>", "of this job").option("--destination <name>", "the copy at this destination");
}

export function pickScope({ job, destination }: ScopeOptions): ScopeOptions {
  return { ...(job === undefined ? {} : { job }), ...(destination === undefined ? {} : { destination }) };
}

/** `/backups/NAME/…` with a query. */
export function createBackupPath(backup: string, rest: string, query: Readonly<Record<string, string | undefined>> = {}): string {
  const given = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  const search = new URLSearchParams(given).toString();
  return `/backups/${encodeURIComponent(backup)}${rest}${search === "" ? "" : `?${search}`}`;
}
