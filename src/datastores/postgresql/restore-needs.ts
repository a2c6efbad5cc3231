import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import { streamProgram } from "../../base/subprocess.ts";
import { prepareTool, type Access } from "./connection.ts";
import { NeedsReader, type DumpNeeds } from "./needs-reader.ts";
import { quoteLiteral, quoteName } from "./quote-sql.ts";
import { explainLoad } from "./restore-explain.ts";
import type { SpooledDump } from "./restore-spool.ts";
import { selectRows } from "./restore-sql.ts";
import type { SqlSession } from "./sql-session.ts";
import type { Toolset } from "./tools.ts";

/** Reads the definitions of a dump, by pg_restore where it has a format of its own. */
export async function readNeeds(access: Access, toolset: Toolset, dump: SpooledDump, signal: AbortSignal): Promise<DumpNeeds> {
  if (dump.needs !== undefined) return dump.needs;
  const reader = new NeedsReader();
  try {
    for await (const chunk of readDefinitions(access, toolset, dump, signal)) reader.push(chunk);
  } catch (error) {
    throw signal.aborted ? error : explainLoad(error);
  }
  return reader.finish();
}

async function* readDefinitions(
  access: Access,
  toolset: Toolset,
  dump: SpooledDump,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (dump.kind !== "custom" && dump.kind !== "directory") {
    yield* createReadStream(dump.path, { highWaterMark: 1 << 20, signal }) as AsyncIterable<Uint8Array>;
    return;
  }
  const isRemote = access.via !== undefined;
  const args = ["--create", "--schema-only", "--file=-", ...(isRemote ? [] : [dump.path])];
  const tool = prepareTool({ ...access, connection: { settings: {} } }, toolset.path("pg_restore"), args);
  await using file = isRemote ? await open(dump.path) : undefined;
  yield* streamProgram(tool.program, tool.args, { ...tool.options, ...(file === undefined ? {} : { stdin: file.fd }) }, signal);
}

/**
 * What the server must have for the dump to load, asked before anything is made.
 * @throws target-unsafe for missing roles and extensions, and for a server that is older than the dump (F37, F40)
 */
export async function requireNeeds(session: SqlSession, needs: DumpNeeds, serverMajor: number): Promise<void> {
  if (needs.major !== undefined && needs.major > serverMajor) {
    throw new HoldfastError("target-unsafe", `the dump is of PostgreSQL ${needs.major} and the server is PostgreSQL ${serverMajor}`, {
      hint: `Restore it to a server of version ${needs.major} or newer: set restoreConnection, or upgrade this one.`,
    });
  }
  const missing = await findMissingRoles(session, needs.roles);
  if (missing.length > 0) {
    throw new HoldfastError(
      "target-unsafe",
      `the server lacks roles that own what is in the dump, or have rights to it: ${missing.join(", ")}`,
      {
        hint: `Create them (${missing.map((role) => `CREATE ROLE ${quoteName(role)};`).join(" ")}), or back up with \`globals\`, which lets a restore add them.`,
      },
    );
  }
  const tablespaces = await listNames(session, "SELECT spcname AS name FROM pg_catalog.pg_tablespace", needs.tablespaces);
  const unknown = needs.tablespaces.filter((name) => !tablespaces.has(name));
  if (unknown.length > 0) {
    throw new HoldfastError("target-unsafe", `the server lacks tablespaces of the dump: ${unknown.join(", ")}`, {
      hint: `Create them (${unknown.map((name) => `CREATE TABLESPACE ${quoteName(name)} LOCATION '…';`).join(" ")}), then restore again.`,
    });
  }
  const available = await listNames(session, "SELECT name FROM pg_catalog.pg_available_extensions", needs.extensions);
  const lacking = needs.extensions.filter((name) => !available.has(name));
  if (lacking.length > 0) {
    throw new HoldfastError("target-unsafe", `the server has not got the extensions of the dump: ${lacking.join(", ")}`, {
      hint: "Install their packages on the server, then restore again.",
    });
  }
}

export async function findMissingRoles(session: SqlSession, roles: readonly string[]): Promise<readonly string[]> {
  const present = await listNames(session, "SELECT rolname AS name FROM pg_catalog.pg_roles", roles);
  return roles.filter((role) => !present.has(role) && !role.startsWith("pg_"));
}

async function listNames(session: SqlSession, sql: string, wanted: readonly string[]): Promise<ReadonlySet<string>> {
  if (wanted.length === 0) return new Set();
  const rows = await selectRows(
    session,
    `SELECT name FROM (${sql}) AS known WHERE name IN (${wanted.map(quoteLiteral).join(", ")})`,
    z.object({ name: z.string() }),
  );
  return new Set(rows.map(({ name }) => name));
}
