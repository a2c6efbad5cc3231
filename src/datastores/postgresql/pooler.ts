import { HoldfastError } from "../../base/errors.ts";
import type { Access } from "./connection.ts";
import type { SqlSession } from "./sql-session.ts";

const askingMs = 5_000;
/** Addresses at which two sessions had two connections, by sessions that do not tell whether a pooler answers. */
const separate = new Set<string>();

/** Whether something answers in the server's place: then the process that it says it is is not the one that works. */
export async function isPooled(session: SqlSession): Promise<boolean> {
  return session.announcedPid !== undefined && session.announcedPid !== (await readPid(session));
}

/**
 * A pool in transaction mode gives each transaction another connection, which others use before and after: our settings would stay with
 * them, and what we set would not be there for us.
 * @throws source-unreadable where two sessions that are open at once have the same connection
 */
export async function requireOwnConnection(
  session: SqlSession,
  access: Access,
  open: (signal: AbortSignal) => Promise<SqlSession>,
  signal: AbortSignal,
): Promise<void> {
  const address = describePlace(access);
  const pid = await readPid(session);
  if (session.announcedPid === pid || (session.announcedPid === undefined && separate.has(address))) return;
  // A second connection may not be had, which proves nothing; one that is not given while we hold ours is not ours to share.
  const limit = AbortSignal.any([signal, AbortSignal.timeout(askingMs)]);
  const otherPid = await askAnother(open, limit);
  signal.throwIfAborted();
  if (otherPid === pid) {
    throw new HoldfastError(
      "source-unreadable",
      "a connection pooler answers there, which gives one connection of the server to several clients",
      {
        hint: "Connect to the server itself (its own port, usually 5432), or to a pool in session mode.",
        retryable: false,
      },
    );
  }
  if (otherPid !== undefined) separate.add(address);
}

async function askAnother(open: (signal: AbortSignal) => Promise<SqlSession>, signal: AbortSignal): Promise<string | undefined> {
  try {
    await using other = await open(signal);
    return await readPid(other);
  } catch {
    return undefined;
  }
}

async function readPid(session: SqlSession): Promise<string> {
  const [row] = await session.query("SELECT pg_catalog.pg_backend_pid()::pg_catalog.text AS pid");
  return row?.["pid"] ?? "";
}

function describePlace({ connection: { host, port, settings }, via }: Access): string {
  return JSON.stringify([host, port, settings["service"], settings["hostaddr"], via]);
}
