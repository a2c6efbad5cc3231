import type { Datastore, DriverContext } from "../contract.ts";
import { dumpPostgresql } from "./dump.ts";
import type { PostgresqlOptions } from "./options.ts";
import { probePostgresql } from "./probe.ts";
import { openPostgresqlRestore } from "./restore.ts";

/** A configured database or server. It holds no connection between calls. */
export function createPostgresqlDatastore(options: PostgresqlOptions, context: DriverContext): Datastore {
  return {
    probe: (signal) => probePostgresql(options, context, signal),
    dump: (signal) => dumpPostgresql(options, context, signal),
    openRestore: (target, restoring, signal) => openPostgresqlRestore(options, target, restoring, context, signal),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
