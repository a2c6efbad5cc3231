import { z } from "zod";
import { describeBytes } from "../../base/describe-amount.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import type { RestoreOptions, TargetFacts } from "../contract.ts";
import { describeUser, redirectOptions, selectDatabase } from "./connection.ts";
import { identifyPostgresql } from "./identify.ts";
import { defaults, type PostgresqlOptions } from "./options.ts";
import { isPooled } from "./pooler.ts";
import { compareServers } from "./restore-same-server.ts";
import { openMaintenance, selectRows, type Server } from "./restore-sql.ts";
import { quoteName } from "./quote-sql.ts";
import { describeReplication, requireUnsubscribed } from "./restore-replication.ts";
import { chooseDatabases, readServerFacts, readsManyDatabases } from "./server-facts.ts";
import type { SqlSession } from "./sql-session.ts";
import { openSession } from "./session.ts";

const selections = ["tables", "excludeTables", "excludeTableData", "schemas", "excludeSchemas"] as const;

/**
 * A database that took the place of another would lack what the backup left out, and so would the backup that is made of the present one.
 * @throws target-unsafe where a job backs up only a part, and the whole would be replaced, or put aside for good
 */
export function requireWhole(options: PostgresqlOptions, database: string, { absent }: Pick<RestoreOptions, "absent">): void {
  const set = [
    ...(options.format === "sqlite" ? ["format: sqlite"] : []),
    ...selections.filter((name) => options[name].length > 0),
    ...(["schemaOnly", "dataOnly"] as const).filter((name) => options[name]),
    ...(options.largeObjects ? [] : ["largeObjects"]),
  ];
  if (set.length === 0) return;
  throw new HoldfastError(
    "target-unsafe",
    `the datastore backs up only a part (${set.join(", ")}): what is not in it would be lost with ${database}`,
    {
      hint: absent
        ? `It was not there when this backup was made. Where it is to go, drop it by hand: DROP DATABASE ${quoteName(database)};`
        : "Restore single tables of it, or restore it under another name: restoreConnection: {database: …}.",
    },
  );
}

/**
 * What is there is saved first, by the connection of backups: where that reaches another database, nothing would have it any more.
 * @throws target-unsafe where `restoreConnection` leads to another database, which exists
 */
export async function requireSaved(
  session: SqlSession,
  options: PostgresqlOptions,
  present: string,
  signal: AbortSignal,
): Promise<"same" | "standby"> {
  if (options.restoreConnection === undefined) return "same";
  const target = redirectOptions(options);
  if ((await identifyPostgresql(options, signal)).id === (await identifyPostgresql(target, signal)).id) {
    const found = await compareServers(session, options, signal);
    if (found !== "other") return found === "standby" ? "standby" : "same";
  }
  throw new HoldfastError(
    "target-unsafe",
    `restoreConnection leads to ${present}, which is there already and is not what is backed up: it would be lost`,
    {
      hint: "Name a database that does not exist yet; of several leave out those that every server has (excludeDatabases: [postgres]). One that is to be replaced must be what the datastore backs up.",
    },
  );
}

const roleRow = z.object({ superuser: z.boolean(), createdb: z.boolean(), standby: z.boolean(), signals: z.boolean() });

/** What a restore would find now, and whether it can be made at all. @throws target-unsafe */
export async function inspectServer(
  server: Server,
  options: PostgresqlOptions,
  ownDatabase: string,
  restoring: RestoreOptions,
  signal: AbortSignal,
): Promise<TargetFacts> {
  const isMany = readsManyDatabases(options);
  await using session = await openWaiting(server, options, isMany ? [] : [ownDatabase], signal);
  const role = await requireAbilities(session, server);
  const facts = await readServerFacts(session);
  const chosen = chooseDatabases(options, facts);
  const found = isMany ? chosen.databases.filter(({ template }) => !template) : facts.databases.filter(({ name }) => name === ownDatabase);
  const template = found.find((each) => each.template || (!isMany && each.name === "template0"));
  if (template !== undefined) {
    throw new HoldfastError("target-unsafe", `${template.name} is a template: new databases are made from it`, {
      hint: "Restore to another name: restoreConnection: {database: …}.",
    });
  }
  // Rows alone change nothing for those who follow the database, but for what is told below.
  if (restoring.parts === undefined) for (const { name } of found) await requireUnsubscribed(session, name);
  const [present] = found;
  if (restoring.parts === undefined) for (const { name } of found) requireWhole(options, name, restoring);
  if (present !== undefined) await requireSaved(session, options, present.name, signal);
  const bytes = found.reduce((sum, each) => sum + (each.bytes ?? 0), 0);
  const missing = found.length > 0 && !options.optional ? chosen.missing : [];
  const notes: Note[] = [...describeMissing(missing), ...describeTrust(options, role.superuser)];
  for (const { name, connectable } of found) notes.push(...(await describeReplication(session, server, { name, connectable }, signal)));
  return {
    summary: describeFound(
      found.map(({ name }) => name),
      ownDatabase,
      isMany,
      bytes,
      facts.version,
    ),
    present: found.length > 0,
    bytes,
    method: describeMethod(restoring, found.length > 0),
    neededBytes: bytes,
    notes,
    // They are processes of the server, maybe on another machine: their number stands in a note.
    users: [],
    ...(await readLastCommit(session)),
  };
}

const commitRow = z.object({ at: z.string().nullable() });

/** The server knows it only where it keeps the times of commits, and of all its databases together. */
async function readLastCommit(session: SqlSession): Promise<Pick<TargetFacts, "changes">> {
  const [{ on } = { on: false }] = await selectRows(
    session,
    "SELECT current_setting('track_commit_timestamp')::boolean AS on",
    z.object({ on: z.boolean() }),
  );
  if (!on) return {};
  const sql = `SELECT to_char("timestamp" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at FROM pg_last_committed_xact()`;
  const [{ at } = { at: null }] = await selectRows(session, sql, commitRow);
  return at === null ? {} : { changes: `the server's last commit, in any of its databases, was at ${at}` };
}

/** The backup of what is there fails for a database that is named and is not there. */
function describeMissing(missing: readonly string[]): readonly Note[] {
  return missing.map((name) => {
    const remedy = `make it, empty: CREATE DATABASE ${quoteName(name)};`;
    const message = `There is no database ${JSON.stringify(name)}, so what is there cannot be saved first: ${remedy}`;
    return { level: "warning", code: "database-missing", message };
  });
}

function describeFound(names: readonly string[], own: string, isMany: boolean, bytes: number, version: string): string {
  const where = `PostgreSQL ${version}`;
  if (!isMany && names.length === 0) return `${where}: database ${own} does not exist`;
  const what = names.length === 1 ? `database ${names[0] ?? ""}` : `${names.length} databases`;
  return `${where}: ${what}, ${describeBytes(bytes)}`;
}

function describeMethod({ absent, parts }: RestoreOptions, present: boolean): string {
  if (absent) return "renames the database, which nobody can connect to then";
  if (parts !== undefined) return "replaces the rows of the tables in one transaction; the rest is not touched";
  return present
    ? "loads a new database, then swaps it in by renaming; connections are ended and must be made again"
    : "loads a new database, then gives it its name";
}

/** A server that is just being started is waited for. */
async function openWaiting(
  server: Server,
  options: PostgresqlOptions,
  spared: readonly string[],
  signal: AbortSignal,
): Promise<SqlSession> {
  const name = spared.includes("postgres") ? "template1" : "postgres";
  const waitForMs = options.waitFor ?? defaults.waitForMs;
  try {
    return await openSession(selectDatabase(server.access, name), { psql: server.psql, waitForMs }, signal);
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== "source-missing") throw error;
    return await openMaintenance(server, spared, signal);
  }
}

async function requireAbilities(session: SqlSession, server: Server): Promise<{ readonly superuser: boolean }> {
  if (await isPooled(session)) {
    throw new HoldfastError(
      "target-unsafe",
      "a connection pooler answers there, and a restore renames databases that it keeps connections to",
      {
        hint: "Restore by the server itself: restoreConnection: {host: …, port: …}, usually port 5432.",
      },
    );
  }
  const [role] = await selectRows(
    session,
    `SELECT r.rolsuper AS superuser, r.rolcreatedb AS createdb, pg_is_in_recovery() AS standby,
       r.rolsuper OR pg_has_role('pg_signal_backend', 'MEMBER') AS signals FROM pg_roles r WHERE r.rolname = current_user`,
    roleRow,
  );
  const user = describeUser(server.access);
  if (role?.standby === true) {
    throw new HoldfastError("target-unsafe", "the server is a standby, which cannot be written to", {
      hint: "Restore to its primary: restoreConnection: {host: …}.",
    });
  }
  if (role !== undefined && !role.superuser && !role.createdb) {
    throw new HoldfastError("target-unsafe", `the role ${user} may not create databases`, {
      hint: `Run \`ALTER ROLE ${quoteName(user)} CREATEDB;\` on the server, or set restoreConnection to a role that may.`,
    });
  }
  return { superuser: role?.superuser ?? false };
}

/** SQL is run as it stands, whatever it says (F41). */
function* describeTrust({ format }: PostgresqlOptions, superuser: boolean): Generator<Note> {
  if (!superuser || (format !== "plain" && format !== "cluster")) return;
  yield {
    level: "warning",
    code: "loaded-by-superuser",
    message: `the dump is SQL, which is run with all rights of a superuser: restore only one that you trust, by a lesser role (restoreConnection: {user: …}), or back up with format: custom`,
  };
}
