import { lookup } from "node:dns/promises";
import type { ConcurrencyKey } from "../../base/concurrency-key.ts";
import { HoldfastError } from "../../base/errors.ts";
import { createAbortError } from "../../base/subprocess.ts";
import { resolveAccess, selectDatabase, describeUser, type Access, type Connection } from "./connection.ts";
import type { PostgresqlOptions } from "./options.ts";
import { findPsql, readsManyDatabases } from "./server-facts.ts";
import { openSession } from "./session.ts";

const askingMs = 5_000;

/**
 * One database, one key, by whatever address it is reached: the server's system identifier and the database's name. A server that does not
 * answer is known by its address. Both are told in `paths`, which no file has, so that the two keys conflict and a whole server conflicts
 * with each of its databases.
 */
export async function identifyPostgresql(options: PostgresqlOptions, signal: AbortSignal): Promise<ConcurrencyKey> {
  const access = await resolveAccess(options, "backup", signal);
  const database = readsManyDatabases(options) ? undefined : (access.connection.database ?? describeUser(access));
  const tail = database === undefined ? "" : `/${encodeURIComponent(database)}`;
  const address = await normalizeAddress(access);
  const system = await readSystemIdentifier(options, access, AbortSignal.any([signal, AbortSignal.timeout(askingMs)]));
  if (signal.aborted) throw createAbortError(signal, "The server was not asked any further");
  const byAddress = `/postgresql/at/${address}${tail}`;
  if (system === undefined) return { id: `postgresql:${address}${tail}`, paths: [byAddress] };
  return { id: `postgresql:${system}${tail}`, paths: [`/postgresql/system/${system}${tail}`, byAddress] };
}

/** By the system identifiers; one that was known by its address alone says nothing. */
export function isOtherSystem(id: string, other: string): boolean {
  const [one, another] = [id, other].map((each) => /^postgresql:(\d{10,20})(?:\/|$)/.exec(each)?.[1]);
  return one !== undefined && another !== undefined && one !== another;
}

/** Undefined when the server cannot be asked; what is wrong then is told by the task itself. */
async function readSystemIdentifier(options: PostgresqlOptions, access: Access, signal: AbortSignal): Promise<string | undefined> {
  for (const database of [access.connection.database, "postgres", "template1"]) {
    try {
      const psql = await findPsql(options, signal);
      await using session = await openSession(database === undefined ? access : selectDatabase(access, database), { psql }, signal);
      const [row] = await session.query("SELECT system_identifier AS id FROM pg_control_system()");
      return row?.["id"] ?? undefined;
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      if (error.code !== "source-missing") return undefined;
    }
  }
  return undefined;
}

/** This machine's names and sockets are one host; what runs in a container is named by it. */
async function normalizeAddress({ connection, via }: Access): Promise<string> {
  const inside = via === undefined ? "" : `${encodeURIComponent(JSON.stringify(via))}/`;
  const service = connection.settings["service"];
  if (service !== undefined && connection.host === undefined) return `${inside}service=${encodeURIComponent(service)}`;
  return `${inside}${encodeURIComponent(await normalizeHost(connection, via === undefined))}:${connection.port ?? "5432"}`;
}

async function normalizeHost({ host }: Connection, isHere: boolean): Promise<string> {
  if (host === undefined || host.startsWith("/")) return "localhost";
  const isLocal = (name: string): boolean => name === "localhost" || name === "::1" || name.startsWith("127.");
  if (isLocal(host)) return "localhost";
  if (!isHere || host.includes(",")) return host.toLowerCase();
  const addresses = await lookup(host, { all: true }).catch(() => []);
  return addresses.some(({ address }) => isLocal(address)) ? "localhost" : host.toLowerCase();
}
