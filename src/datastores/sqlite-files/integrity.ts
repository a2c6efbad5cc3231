import type Database from "better-sqlite3";
import { describeCause, readErrno } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";

export interface Integrity {
  /** Coarse, so that a full check of a copy compares with the quick one that was made of it. */
  readonly digest: "ok" | "damaged";
  readonly notes: readonly Note[];
}

const errorsShown = 3;

/**
 * SQLite's own check. Where it needs a function, collation, module or tokenizer that only the application registers, it is made table by
 * table, and the tables that cannot be checked are named.
 */
export function readIntegrity(database: Database.Database, integrity: "full" | "quick"): Integrity {
  const pragma = integrity === "full" ? "integrity_check" : "quick_check";
  const whole = attempt(() => runCheck(database, pragma));
  if (whole.ok) return describeErrors(whole.value, []);
  if (!needsTheApplication(whole.error)) return describeErrors([describeCause(whole.error)], []);
  const errors: string[] = [];
  const unchecked: string[] = [];
  for (const table of listTables(database)) {
    const checked = attempt(() => runCheck(database, `${pragma}(${quoteName(table)})`));
    if (checked.ok) errors.push(...checked.value);
    else if (needsTheApplication(checked.error)) unchecked.push(`${table} (${describeCause(checked.error)})`);
    else errors.push(`${table}: ${describeCause(checked.error)}`);
  }
  return describeErrors(errors, unchecked.length > 0 ? unchecked : [describeCause(whole.error)]);
}

function describeErrors(errors: readonly string[], unchecked: readonly string[]): Integrity {
  const names = unchecked.join(", ");
  const notes: Note[] =
    unchecked.length === 0
      ? []
      : [{ level: "info", code: "not-checked", message: `SQLite's integrity check needs parts of the application for: ${names}` }];
  if (errors.length === 0) return { digest: "ok", notes };
  const shown = errors.slice(0, errorsShown).map((line) => line.replace(/^\*\*\* in database main \*\*\*\n/, ""));
  const more = errors.length > errorsShown ? ` (and ${errors.length - errorsShown} more)` : "";
  notes.push({ level: "partial", code: "source-damaged", message: `The database is damaged at its source: ${shown.join("; ")}${more}` });
  return { digest: "damaged", notes };
}

function runCheck(database: Database.Database, pragma: string): string[] {
  const rows = database.pragma(pragma) as Record<string, string>[];
  return rows.map((row) => Object.values(row)[0] ?? "").filter((line) => line !== "ok");
}

/** The user's tables, virtual ones included, without what virtual tables keep behind themselves ("shadow"). */
export function listTables(database: Database.Database): string[] {
  const sql =
    "select name from pragma_table_list where schema = 'main' and type in ('table', 'virtual') and name not like 'sqlite\\_%' escape '\\' order by name";
  return database.prepare(sql).pluck().all().map(String);
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export type Attempt<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

/** A damaged database is read as far as it goes; only SQLite's own errors are damage, and only those that are about the content. */
export function attempt<T>(read: () => T): Attempt<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    if (!/^SQLITE_(CORRUPT|ERROR|NOTADB|IOERR_SHORT_READ|CONSTRAINT|SCHEMA|MISMATCH|TOOBIG)/.test(readErrno(error) ?? "")) throw error;
    return { ok: false, error };
  }
}

function needsTheApplication(error: unknown): boolean {
  return (
    readErrno(error) === "SQLITE_ERROR" &&
    /no such (collation sequence|function|module|tokenizer)|unknown function|unsafe use of/.test(describeCause(error))
  );
}
