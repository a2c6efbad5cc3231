import { resolveAccess } from "./connection.ts";
import type { PostgresqlOptions } from "./options.ts";
import type { Server } from "./restore-sql.ts";
import { findPsql } from "./server-facts.ts";

/** How the sessions of a restore, and of what undoes it, are opened. Throws `config-invalid` as resolveAccess does. */
export async function resolveServer(options: PostgresqlOptions, signal: AbortSignal): Promise<Server> {
  return { access: await resolveAccess(options, "restore", signal), psql: await findPsql(options, signal) };
}
