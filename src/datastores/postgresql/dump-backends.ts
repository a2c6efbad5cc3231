import { randomBytes } from "node:crypto";
import type { Access } from "./connection.ts";
import { openSession } from "./session.ts";

const endingMs = 15_000;

/**
 * Through a container only the client of the containers dies with us: pg_dump itself, and its transaction, would go on until it writes
 * next. So its connections get a name of one run, by which they are found.
 */
export function nameConnections(access: Access): Access {
  if (access.via === undefined) return access;
  const { connection } = access;
  const settings = { ...connection.settings, application_name: `holdfast-${randomBytes(6).toString("hex")}` };
  return { ...access, connection: { ...connection, settings } };
}

/** Ends the connections of a dump that was stopped. What cannot be ended ends by itself, at its next write. */
export async function endConnections(access: Access, psql: string): Promise<void> {
  const name = access.connection.settings["application_name"];
  if (access.via === undefined || name === undefined) return;
  const signal = AbortSignal.timeout(endingMs);
  try {
    await using session = await openSession(access, { psql }, signal);
    await session.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND usename = current_user AND pid <> pg_backend_pid()",
      [name],
    );
  } catch {
    return;
  }
}
