import { createHash } from "node:crypto";
import { fsync, closeSync, openSync } from "node:fs";
import { promisify } from "node:util";
import type Database from "better-sqlite3";
import type { Contents } from "../../base/contents.ts";
import { describeCause } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import type { ExamineRequest, ExamineSettings } from "./child-protocol.ts";
import { attempt, listTables, quoteName, readIntegrity } from "../sqlite-files/integrity.ts";
import { openDatabase, readNumber, readText } from "../sqlite-files/open-database.ts";

export interface Examination {
  readonly contents: Contents;
  readonly notes: readonly Note[];
}

/**
 * Reads a database that nobody else has open: integrity, schema, rows per table. Damage is a note of level `partial` and stands in the
 * digest `integrity`; it is thrown only when the file cannot be read as a database at all. The file is durable when this returns.
 */
export async function examineFile(request: Omit<ExamineRequest, "op">): Promise<Examination> {
  const startedAt = performance.now();
  const database = openDatabase(request.path, 1_000);
  let examination: Examination;
  try {
    // A copy of a WAL database says so in its header and would need two more files as soon as somebody opens it.
    if (request.header === "self-contained") database.pragma("journal_mode = delete");
    examination = examineDatabase(database, request);
  } finally {
    database.close();
  }
  // Only now: closing a descriptor drops the locks that SQLite holds on the same file.
  const file = openSync(request.path, "r");
  try {
    await promisify(fsync)(file);
  } finally {
    closeSync(file);
  }
  const checkMs = Math.round(performance.now() - startedAt);
  return { ...examination, contents: { ...examination.contents, facts: { ...examination.contents.facts, checkMs } } };
}

function examineDatabase(database: Database.Database, settings: ExamineSettings): Examination {
  const integrity = readIntegrity(database, settings.integrity);
  const schema = attempt(() => hashSchema(database));
  const rows = countRows(database, settings.countRows);
  const header = ["user_version", "application_id", "encoding"]
    .map((name) => `${name}=${String(database.pragma(name, { simple: true }))}`)
    .join(" ");
  return {
    contents: {
      counts: rows.counts,
      digests: { schema: schema.ok ? schema.value : "unreadable", header, integrity: integrity.digest },
      facts: {
        userVersion: readNumber(database, "user_version"),
        applicationId: readNumber(database, "application_id"),
        encoding: readText(database, "encoding"),
        pageCount: readNumber(database, "page_count"),
        pageSize: readNumber(database, "page_size"),
        sqliteVersion: String(database.prepare("select sqlite_version()").pluck().get()),
        statistics: rows.statistics.join(", "),
      },
    },
    notes: [...integrity.notes, ...rows.notes],
  };
}

function hashSchema(database: Database.Database): string {
  const rows = database.prepare("select type, name, tbl_name, sql from sqlite_schema order by type, name, tbl_name, sql").raw().iterate();
  const hash = createHash("sha256");
  for (const row of rows) hash.update(`${JSON.stringify(row)}\n`);
  return hash.digest("hex");
}

interface RowCounts {
  readonly counts: Readonly<Record<string, number>>;
  /** `messages 12`, for people. */
  readonly statistics: readonly string[];
  readonly notes: readonly Note[];
}

/** Rows of every table of the user's, virtual ones included; what a virtual table keeps behind itself ("shadow") is not counted twice. */
function countRows(database: Database.Database, wanted: "all" | readonly string[]): RowCounts {
  const listed = attempt(() => listTables(database));
  const names = listed.ok ? listed.value : [];
  const counts: Record<string, number> = {};
  const notes: Note[] = [];
  for (const name of names) {
    const counted = attempt(() =>
      Number(
        database
          .prepare(`select count(*) from main.${quoteName(name)}`)
          .pluck()
          .get(),
      ),
    );
    if (counted.ok) counts[`rows.${name}`] = counted.value;
    else
      notes.push({
        level: "info",
        code: "not-counted",
        message: `Rows of table ${JSON.stringify(name)} are not counted: ${describeCause(counted.error)}`,
      });
  }
  const shown = wanted === "all" ? names : wanted;
  for (const name of shown.filter((table) => listed.ok && !names.includes(table))) {
    notes.push({
      level: "warning",
      code: "table-missing",
      message: `The database has no table ${JSON.stringify(name)}, which countRows names`,
    });
  }
  return {
    counts,
    notes,
    statistics: shown.flatMap((name) => (counts[`rows.${name}`] === undefined ? [] : [`${name} ${counts[`rows.${name}`]}`])),
  };
}
