import type { DriverContext } from "../contract.ts";
import { explainFailure } from "./classify-error.ts";
import { resolveAccess } from "./connection.ts";
import type { PostgresqlOptions } from "./options.ts";
import { openServerSession } from "./server-facts.ts";
import { readCopyText } from "./sqlite-copy-text.ts";

/** The server ends a statement itself that nobody waits for any more. */
const statementTimeoutMs = 10 * 60_000;

/**
 * Reads one value in a read-only transaction, by the connection of backups. As COPY, because it keeps columns of one name apart; names are
 * looked for where the role's own settings say.
 */
export async function queryPostgresql(
  options: PostgresqlOptions,
  context: DriverContext,
  sql: string,
  signal: AbortSignal,
): Promise<string | null> {
  try {
    const access = await resolveAccess(options, "backup", signal);
    await using session = await openServerSession(options, access, { waitForMs: 0 }, signal);
    await session.query(`SET statement_timeout = ${statementTimeoutMs}`);
    await session.query("RESET search_path");
    await session.query("BEGIN TRANSACTION READ ONLY");
    for await (const rows of readCopyText(session.copyOut(`COPY (${sql.replace(/[\s;]+$/, "")}\n) TO STDOUT`))) return rows[0]?.[0] ?? null;
    return null;
  } catch (error) {
    throw explainFailure(`Cannot query "${context.name}"`, error);
  }
}
