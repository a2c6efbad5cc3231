import { HoldfastError } from "../../base/errors.ts";
import { prefixError } from "../../base/prefix-error.ts";
import type { Datastore, DriverContext, ProbeFacts, RestoreOptions, RestoreSession, RestoreTarget } from "../contract.ts";
import { createBegunDump } from "../begun-dump.ts";
import { dumpDatabase } from "./dump.ts";
import type { SqliteOptions } from "./options.ts";
import { probeDatabase } from "./probe.ts";
import { queryDatabase } from "./query.ts";
import { SqliteRestore } from "./restore.ts";
import { SqliteTablesRestore } from "./restore-tables.ts";

/** A configured database. It holds nothing open between calls but the copy of a snapshot: each opens the database in a process of its own. */
export function createSqliteDatastore(options: SqliteOptions, context: DriverContext): Datastore {
  const { snapshot, dump, close } = createBegunDump((signal) => dumpDatabase(options, context, signal));
  return {
    probe: (signal: AbortSignal): Promise<ProbeFacts> => probeDatabase(options, context, signal),
    snapshot,
    dump,
    async openRestore(target: RestoreTarget, restoring: RestoreOptions): Promise<RestoreSession> {
      try {
        if (restoring.parts !== undefined) return openTables(options, target, restoring, context);
        return await SqliteRestore.open(options, target, restoring, context);
      } catch (error) {
        throw prefixError(`Cannot restore "${context.name}"`, error);
      }
    },
    query: (sql: string, signal: AbortSignal): Promise<string | null> => queryDatabase(options, context, sql, signal),
    [Symbol.asyncDispose]: close,
  };
}

function openTables(options: SqliteOptions, target: RestoreTarget, restoring: RestoreOptions, context: DriverContext): RestoreSession {
  if (target.kind !== "original") throw new HoldfastError("usage", "single tables can only be restored into their own database");
  return new SqliteTablesRestore(options, restoring.parts ?? [], restoring, context);
}
