import { randomInt } from "node:crypto";
import { closeSync, constants, existsSync, fsyncSync, openSync } from "node:fs";
import { dirname } from "node:path";
import type Database from "better-sqlite3";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import { blockFor } from "../sqlite-files/block.ts";
import type { ReadTablesRequest, ReplaceTablesRequest, ReplaceTablesResult, ReturnTablesRequest, TablesFound } from "./child-protocol.ts";
import { findNewViolations, readViolations } from "./foreign-keys.ts";
import { openDatabase, readNumber, readText } from "../sqlite-files/open-database.ts";
import { countRows, describeRelations, dropTable, findTable, findTables, recreateTable } from "./table-set.ts";

const commitPollMs = 20;
/** Who started this process. It does not notice the end of its standard input while SQLite works. */
const startedBy = process.ppid;
/** In the file that keeps the former tables; its being there says that they all are. */
const markerTable = "holdfast_former_tables";
/** An application's own changes of its schema count one each: none of them gets from one stamp, or from what was there, to another. */
const stampDistance = 1 << 20;

/** Which of the tables a database has, and what else in it relies on them. */
export function readTables({ path, tables, busyTimeoutMs, rows }: ReadTablesRequest): TablesFound {
  const database = openDatabase(path, busyTimeoutMs);
  try {
    database.pragma("query_only = on");
    const found = [...findTables(database, "main", tables)];
    return {
      missing: tables.filter((name) => !found.some(([wanted]) => wanted === name)),
      rows: Object.fromEntries(found.map(([, name]) => [name, rows === "count" ? countRows(database, "main", name) : 0])),
      relations: describeRelations(
        database,
        found.map(([, name]) => name),
      ),
    };
  } finally {
    database.close();
  }
}

/**
 * Replaces tables of a live database by those of another file, in one transaction: whoever reads them sees the old ones until all are
 * there, and nobody who writes to another table loses anything. The former ones are kept in a file of their own, which is durable before the
 * transaction is committed and was read under its lock: no write comes between.
 */
export function replaceTables(request: ReplaceTablesRequest): ReplaceTablesResult {
  const { path, source, aside, tables, busyTimeoutMs } = request;
  if (!existsSync(source)) throw new HoldfastError("internal", "Bug: the staged copy has gone");
  const database = openForReplacing(path, source, busyTimeoutMs);
  try {
    database.exec("begin immediate");
    assertWanted();
    const wanted = findTables(database, "source", tables);
    const present = findTables(database, "main", tables);
    const names = [...new Set([...wanted.values(), ...present.values()])];
    const before = readViolations(database, names, "main");
    const stamp = keepFormer(database, request, [...present.values()]);
    for (const name of present.values()) dropTable(database, name);
    for (const name of wanted.values()) recreateTable(database, "source", name);
    const problem = findNewViolations(database, names, before, readViolations(database, [...wanted.values()], "source"));
    if (problem !== undefined) throw problem;
    const rows = Object.fromEntries([...wanted.values()].map((name) => [name, countRows(database, "main", name)]));
    stampSchema(database, stamp);
    assertWanted();
    commit(database, busyTimeoutMs);
    return { rows };
  } catch (error) {
    if (database.inTransaction) database.exec("rollback");
    throw error;
  } finally {
    database.close();
    syncDirectory(dirname(aside));
  }
}

/** Puts the former tables back where the replacement was committed; says so. Nothing is done where it was not. */
export function returnTables({ path, aside, tables, busyTimeoutMs }: ReturnTablesRequest): "returned" | "never-replaced" {
  if (!existsSync(aside)) return "never-replaced";
  const database = openForReplacing(path, aside, busyTimeoutMs);
  try {
    database.exec("begin immediate");
    const isWhole = findTable(database, "source", markerTable) !== undefined;
    const stamp = isWhole ? Number(database.prepare(`select stamp from source.${markerTable}`).pluck().get()) : undefined;
    if (stamp === undefined || !isStamped(readNumber(database, "main.schema_version"), stamp)) {
      database.exec("rollback");
      return "never-replaced";
    }
    for (const name of tables) {
      const former = findTable(database, "source", name);
      dropTable(database, findTable(database, "main", name));
      if (former !== undefined) recreateTable(database, "source", former);
    }
    commit(database, busyTimeoutMs);
    return "returned";
  } catch (error) {
    if (database.inTransaction) database.exec("rollback");
    throw error;
  } finally {
    database.close();
  }
}

/** A restore whose process has died may have been rolled back already: what is committed after that nobody would take back. */
function assertWanted(): void {
  if (process.ppid !== startedBy) throw new HoldfastError("interrupted", "the process that restores has ended");
}

function openForReplacing(path: string, source: string, busyTimeoutMs: number): Database.Database {
  const database = openDatabase(path, busyTimeoutMs);
  try {
    prepareCopying(database);
    database.prepare("attach ? as source").run(source);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Rows are taken as they are: what the source's own rules let in must come in again, and no row of another table may go with one here. */
function prepareCopying(database: Database.Database): void {
  database.pragma("foreign_keys = off");
  database.pragma("ignore_check_constraints = on");
  database.pragma("synchronous = extra");
}

/**
 * Says in the database itself, within the transaction, that this replacement was committed. That the schema has changed would not: between a
 * death before the commit and the roll-back the application may have changed it, and its rows would go.
 */
function stampSchema(database: Database.Database, stamp: number): void {
  database.unsafeMode(true);
  database.pragma(`main.schema_version = ${stamp}`);
  database.unsafeMode(false);
  if (readNumber(database, "main.schema_version") !== stamp) throw new HoldfastError("internal", "Bug: the schema version was not set");
}

function createStamp(present: number): number {
  for (;;) {
    const stamp = randomInt(stampDistance, 2 ** 31 - 2 * stampDistance);
    if (Math.abs(stamp - present) > stampDistance) return stamp;
  }
}

function isStamped(version: number, stamp: number): boolean {
  return version >= stamp && version < stamp + stampDistance;
}

/**
 * Copies the tables to a new file, through a connection of its own: that transaction must be durable before the other one is.
 * @returns the schema version that the database is to get with the other one
 */
function keepFormer(database: Database.Database, { path, aside, busyTimeoutMs }: ReplaceTablesRequest, tables: readonly string[]): number {
  const stamp = createStamp(readNumber(database, "main.schema_version"));
  closeSync(openSync(aside, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600));
  const former = openDatabase(aside, busyTimeoutMs);
  try {
    former.pragma(`encoding = '${readText(database, "encoding")}'`);
    prepareCopying(former);
    former.prepare("attach ? as live").run(path);
    former.exec("begin");
    for (const name of tables) recreateTable(former, "live", name);
    former.exec(`create table main.${markerTable} (stamp integer not null)`);
    former.prepare(`insert into main.${markerTable} values (?)`).run(stamp);
    former.exec("commit");
  } finally {
    former.close();
  }
  syncDirectory(dirname(aside));
  return stamp;
}

/** A reader of a database in rollback-journal mode may hold it up for longer than SQLite itself waits. */
function commit(database: Database.Database, busyTimeoutMs: number): void {
  const deadlineAt = performance.now() + busyTimeoutMs;
  for (;;) {
    try {
      database.exec("commit");
      return;
    } catch (error) {
      if (readErrno(error) !== "SQLITE_BUSY" || performance.now() > deadlineAt) throw error;
      blockFor(commitPollMs);
    }
  }
}

function syncDirectory(path: string): void {
  const directory = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
