import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import { describeAddress, selectDatabase, type Access } from "./connection.ts";
import { escapePattern, matchesPattern } from "./entry-names.ts";
import { defaults, type PostgresqlOptions } from "./options.ts";
import { isPooled } from "./pooler.ts";
import { isSideName } from "./restore-names.ts";
import { selectRows } from "./restore-sql.ts";
import { openSession } from "./session.ts";
import type { SqlSession } from "./sql-session.ts";
import { findTools } from "./tools.ts";

export interface FoundDatabase {
  readonly name: string;
  readonly connectable: boolean;
  readonly template: boolean;
  /** Null where the role may not know it. */
  readonly bytes: number | null;
}

export interface ServerFacts {
  readonly major: number;
  /** For example `15.18`. */
  readonly version: string;
  /** The one that the session is connected to. */
  readonly database: string;
  readonly standby: boolean;
  /** Whether a connection pooler lies between. */
  readonly pooled: boolean;
  readonly databases: readonly FoundDatabase[];
}

const serverRow = z.object({ number: z.number(), version: z.string(), database: z.string(), standby: z.boolean() });
const databaseRow = z.object({ name: z.string(), connectable: z.boolean(), template: z.boolean(), bytes: z.number().nullable() });

/** The oldest server that the tools still in use can dump. */
const oldestMajor = 10;

/** What is to be dumped of a server: its databases, those of them that the options choose, and what was left out. */
export async function readServerFacts(session: SqlSession): Promise<ServerFacts> {
  const [server] = await selectRows(
    session,
    `SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version,
            current_database() AS database, pg_is_in_recovery() AS standby`,
    serverRow,
  );
  if (server === undefined) throw new HoldfastError("internal", "A server without a version");
  const { number, version, database, standby } = server;
  const major = Math.floor(number / 10_000);
  if (major < oldestMajor) {
    throw new HoldfastError(
      "source-unreadable",
      `the server is PostgreSQL ${version}, and ${oldestMajor} is the oldest that can be backed up`,
      {
        hint: "Upgrade the server, or use a job of kind command with the tools of its version.",
      },
    );
  }
  const databases = await selectRows(
    session,
    // -2: half dropped, which only says so when somebody connects.
    `SELECT datname AS name, datallowconn AND datconnlimit <> -2 AS connectable, datistemplate AS template,
            CASE WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE') THEN pg_database_size(oid) END AS bytes
     FROM pg_database ORDER BY datname`,
    databaseRow,
  );
  return { major, version: version.split(" ")[0] ?? version, database, standby, pooled: await isPooled(session), databases };
}

/** Several databases, of which one may be missing, are asked for by way of one that every server has. */
export function readsManyDatabases({ format, databases }: PostgresqlOptions): boolean {
  return databases !== undefined || format === "cluster";
}

/** A session for the catalog of the server: with the database that is to be dumped, or with one that every server has. */
export async function openServerSession(
  options: PostgresqlOptions,
  access: Access,
  { waitForMs = options.waitFor ?? defaults.waitForMs }: { readonly waitForMs?: number },
  signal: AbortSignal,
): Promise<SqlSession> {
  const psql = await findPsql(options, signal);
  const { database, settings } = access.connection;
  const names = database === undefined && settings["service"] === undefined ? ["postgres", "template1"] : [database];
  if (!readsManyDatabases(options)) return await openSession(access, { psql, waitForMs }, signal);
  let failure: unknown;
  for (const name of names) {
    try {
      return await openSession(name === undefined ? access : selectDatabase(access, name), { psql, waitForMs }, signal);
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== "source-missing") throw error;
      failure ??= error;
    }
  }
  throw failure;
}

/** Only its name where there is none: most connections need no psql. */
export async function findPsql(options: PostgresqlOptions, signal: AbortSignal): Promise<string> {
  try {
    return (await findTools(options, "psql", 0, signal)).path("psql");
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "tool-missing" && options.via === undefined) return "psql";
    throw error;
  }
}

export interface ChosenDatabases {
  readonly databases: readonly FoundDatabase[];
  /** Names in the options that are no pattern, and no database. */
  readonly missing: readonly string[];
  /** Asked for by `all` or a pattern, and not to be connected to. */
  readonly closed: readonly string[];
  /** Those of restores that would be meant, too: what is saved before a restore must not hold what that restore has staged. */
  readonly ofRestores: readonly string[];
}

/** The databases that the options mean, as they are now. */
export function chooseDatabases(options: PostgresqlOptions, facts: ServerFacts): ChosenDatabases {
  const { databases: wanted, excludeDatabases: excluded, format } = options;
  if (wanted === undefined && format !== "cluster")
    return { databases: facts.databases.filter(({ name }) => name === facts.database), missing: [], closed: [], ofRestores: [] };
  const isWanted = ({ name, template }: FoundDatabase): boolean =>
    (wanted === undefined || wanted === "all" ? !template : matchesPattern(name, wanted)) && !matchesPattern(name, excluded);
  const isOfRestore = ({ name }: FoundDatabase): boolean =>
    isSideName(name) && (wanted === undefined || wanted === "all" || !wanted.includes(escapePattern(name)));
  const found = facts.databases.filter((each) => isWanted(each) && !isOfRestore(each));
  const literal =
    wanted === undefined || wanted === "all" ? [] : wanted.filter((pattern) => !/[*?]/.test(pattern.replaceAll(/\\[^]/g, "")));
  return {
    databases: found.filter(({ connectable }) => connectable),
    missing: literal.filter((pattern) => !facts.databases.some(({ name }) => matchesPattern(name, [pattern]))),
    closed: found.filter(({ connectable }) => !connectable).map(({ name }) => name),
    ofRestores: facts.databases.filter((each) => isWanted(each) && isOfRestore(each)).map(({ name }) => name),
  };
}

export function createMissingError(access: Access, names: readonly string[]): HoldfastError {
  const what =
    names.length === 0
      ? "there is no database that `databases` means"
      : `there is no database ${names.map((name) => JSON.stringify(name)).join(", ")}`;
  return new HoldfastError("source-missing", `${what} at ${describeAddress(access.connection, "")}`, {
    hint: "Check `databases`; where they may be missing, say `optional: true`.",
  });
}
