import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { describeAddress, prepareTool, resolveAccess, selectDatabase, type Access, type PreparedTool } from "./connection.ts";
import { createClusterArguments, createDumpArguments } from "./dump-arguments.ts";
import { readSelection } from "./dump-selection.ts";
import { nameConnections } from "./dump-backends.ts";
import { escapePattern, formatEntryName, globalsName } from "./entry-names.ts";
import type { PostgresqlOptions } from "./options.ts";
import {
  chooseDatabases,
  createMissingError,
  findPsql,
  openServerSession,
  readServerFacts,
  type ChosenDatabases,
  type ServerFacts,
} from "./server-facts.ts";
import { findTools, type Toolset } from "./tools.ts";

export interface ToolPlace {
  /** Where it writes to, instead of its standard output. */
  readonly directory?: string;
  /** The snapshot that it dumps, as another session has exported it. */
  readonly snapshot?: string;
}

/** One file of the member that is to be made. */
export interface PlannedEntry {
  readonly name: string;
  readonly sourcePath: string;
  /** pg_dump or pg_dumpall, whose standard output is the entry, or which writes its files to a directory. */
  readonly prepare: (place?: ToolPlace) => PreparedTool;
  /** The one database that it is of; pg_dump can dump that as a snapshot has it. */
  readonly database?: Access;
  readonly form: "file" | "tree";
}

export interface DumpPlan {
  readonly access: Access;
  readonly facts: ServerFacts;
  /** Absent for format sqlite, which needs no tool. */
  readonly toolset: Toolset | undefined;
  readonly entries: readonly PlannedEntry[];
  /** How many there are. */
  readonly databases: number;
  /** An upper estimate as far as the server tells it. */
  readonly bytes: number;
  readonly notes: readonly Note[];
}

/**
 * Asks the server what there is to dump, and finds the tools of its version.
 * @returns undefined when nothing is there and the datastore is optional
 * @throws source-missing, source-unreachable, source-unreadable, tool-missing
 */
export async function planDump(options: PostgresqlOptions, signal: AbortSignal): Promise<DumpPlan | undefined> {
  const access = nameConnections(await resolveAccess(options, "backup", signal));
  const facts = await askServer(options, access, signal);
  if (facts === undefined) return undefined;
  const chosen = chooseDatabases(options, facts);
  if (!options.optional && chosen.missing.length > 0) throw createMissingError(access, chosen.missing);
  refuseClosed(options, chosen);
  if (chosen.databases.length === 0 && options.format !== "cluster") {
    if (options.optional) return undefined;
    throw createMissingError(access, []);
  }
  const bytes = chosen.databases.reduce((sum, each) => sum + (each.bytes ?? 0), 0);
  const notes = [...describeLeftOut(chosen), ...describeRowsOnly(options)];
  const plan = { access, facts, databases: chosen.databases.length, bytes, notes };
  if (options.format === "sqlite") return { ...plan, toolset: undefined, entries: [] };
  const isCluster = options.format === "cluster";
  const toolset = await findTools(options, isCluster ? "pg_dumpall" : "pg_dump", facts.major, signal);
  const dumps: PlannedEntry[] = [];
  for (const { name } of isCluster ? [] : chosen.databases) {
    const own = selectDatabase(access, name);
    const selection = await readSelection(options, own, await findPsql(options, signal), signal);
    notes.push(...selection.notes);
    dumps.push(planDatabase(options, own, toolset, { name, tables: selection.tables }));
  }
  const entries = [
    ...(options.globals === false || isCluster ? [] : [planGlobals(options, access, toolset)]),
    ...(isCluster ? [planCluster(options, access, toolset, chosen.ofRestores)] : dumps),
  ];
  return { ...plan, toolset, entries };
}

/**
 * What is asked for by its name may not be left out: a restore that is going on closes a database for a moment. Nor is all that there is
 * taken for absent.
 */
function refuseClosed({ databases, format }: PostgresqlOptions, chosen: ChosenDatabases): void {
  if (databases === undefined) return;
  const isNamed = (name: string): boolean => databases !== "all" && databases.includes(escapePattern(name));
  const isAll = chosen.databases.length === 0 && format !== "cluster";
  const refused = isAll ? chosen.closed : chosen.closed.filter(isNamed);
  if (refused.length === 0) return;
  const names = refused.map((name) => JSON.stringify(name)).join(", ");
  throw new HoldfastError("source-unreadable", `the database ${names} allows no connections`, {
    hint: "Run `ALTER DATABASE … ALLOW_CONNECTIONS true` (one whose removal was interrupted: `DROP DATABASE …`), or take it out of `databases`.",
    retryable: true,
  });
}

async function askServer(options: PostgresqlOptions, access: Access, signal: AbortSignal): Promise<ServerFacts | undefined> {
  try {
    await using session = await openServerSession(options, access, {}, signal);
    return await readServerFacts(session);
  } catch (error) {
    if (options.optional && error instanceof HoldfastError && error.code === "source-missing") return undefined;
    throw error;
  }
}

/** Their definitions are in no backup: a restore has nothing to make the tables with. */
function* describeRowsOnly({ dataOnly }: PostgresqlOptions): Generator<Note> {
  if (!dataOnly) return;
  const message =
    "dataOnly: the backup holds rows and no tables, and is restored by hand only (pg_restore --data-only, or psql, into tables that are there and empty)";
  yield { level: "warning", code: "rows-only", message };
}

function* describeLeftOut({
  missing,
  closed,
  ofRestores,
}: {
  readonly missing: readonly string[];
  readonly closed: readonly string[];
  readonly ofRestores: readonly string[];
}): Generator<Note> {
  for (const name of missing)
    yield { level: "warning", code: "database-missing", message: `There is no database ${JSON.stringify(name)}; it is optional` };
  for (const name of closed)
    yield { level: "warning", code: "database-closed", message: `Database ${JSON.stringify(name)} allows no connections, and is left out` };
  for (const name of ofRestores)
    yield { level: "info", code: "database-of-restore", message: `Database ${JSON.stringify(name)} is one of a restore, and is left out` };
}

function planDatabase(
  options: PostgresqlOptions,
  access: Access,
  toolset: Toolset,
  { name, tables }: { readonly name: string; readonly tables: readonly string[] },
): PlannedEntry {
  return {
    name: options.entry ?? formatEntryName(name, options.format),
    sourcePath: describeAddress(access.connection, name),
    prepare: (place) => prepareTool(access, toolset.path("pg_dump"), createDumpArguments(options, tables, place)),
    database: access,
    form: options.format === "directory" ? "tree" : "file",
  };
}

function planCluster(options: PostgresqlOptions, access: Access, toolset: Toolset, leftOut: readonly string[]): PlannedEntry {
  return {
    name: options.entry ?? formatEntryName("cluster", "cluster"),
    sourcePath: describeAddress(access.connection, ""),
    prepare: () => prepareTool(keepIdle(access), toolset.path("pg_dumpall"), createClusterArguments(options, "all", leftOut)),
    form: "file",
  };
}

function planGlobals(options: PostgresqlOptions, access: Access, toolset: Toolset): PlannedEntry {
  return {
    name: globalsName,
    sourcePath: describeAddress(access.connection, ""),
    prepare: () => prepareTool(keepIdle(access), toolset.path("pg_dumpall"), createClusterArguments(options, "globals")),
    form: "file",
  };
}

/** pg_dump sets its time limits off itself; pg_dumpall waits, idle, for pg_dump. A pooler refuses such options, and cannot be dumped by it anyway. */
function keepIdle(access: Access): Access {
  const { settings } = access.connection;
  const limits = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0";
  const given = settings["options"];
  return {
    ...access,
    connection: { ...access.connection, settings: { ...settings, options: given === undefined ? limits : `${given} ${limits}` } },
  };
}
