import type { Datastore, DriverContext } from "../contract.ts";
import { dumpPostgresql } from "./dump.ts";
import { rememberTools } from "./known-tools.ts";
import type { PostgresqlOptions } from "./options.ts";
import { probePostgresql } from "./probe.ts";
import { queryPostgresql } from "./query.ts";
import { openPostgresqlRestore } from "./restore.ts";
import { dumpSqlite } from "./sqlite-dump.ts";
import { openSqliteRestore } from "./sqlite-restore.ts";

/** A configured database or server. It holds no connection between calls. */
export function createPostgresqlDatastore(options: PostgresqlOptions, context: DriverContext): Datastore {
  rememberTools(options.binDir);
  const isExport = options.format === "sqlite";
  return {
    probe: (signal) => probePostgresql(options, context, signal),
    dump: (signal) => (isExport ? dumpSqlite : dumpPostgresql)(options, context, signal),
    openRestore: (target, restoring, signal) =>
      (isExport ? openSqliteRestore : openPostgresqlRestore)(options, target, restoring, context, signal),
    query: (sql, signal) => queryPostgresql(options, context, sql, signal),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
