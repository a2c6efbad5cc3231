import { prefixError } from "../../base/prefix-error.ts";
import type {
  Datastore,
  DriverContext,
  DumpEntry,
  DumpFacts,
  ProbeFacts,
  RestoreOptions,
  RestoreSession,
  RestoreTarget,
} from "../contract.ts";
import { dumpDatabase } from "./dump.ts";
import type { SqliteOptions } from "./options.ts";
import { probeDatabase } from "./probe.ts";
import { queryDatabase } from "./query.ts";
import { SqliteRestore } from "./restore.ts";

/** A configured database. It holds nothing open between calls: each opens the database in a process of its own. */
export function createSqliteDatastore(options: SqliteOptions, context: DriverContext): Datastore {
  return {
    probe: (signal: AbortSignal): Promise<ProbeFacts> => probeDatabase(options, context, signal),
    dump: (signal: AbortSignal): AsyncGenerator<DumpEntry, DumpFacts, undefined> => dumpDatabase(options, context, signal),
    async openRestore(target: RestoreTarget, restoring: RestoreOptions): Promise<RestoreSession> {
      try {
        return await SqliteRestore.open(options, target, restoring, context);
      } catch (error) {
        throw prefixError(`Cannot restore "${context.name}"`, error);
      }
    },
    query: (sql: string, signal: AbortSignal): Promise<string | null> => queryDatabase(options, context, sql, signal),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
