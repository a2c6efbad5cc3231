import { createSignalLink } from "../../base/signal-link.ts";
import { createBegunDump } from "../begun-dump.ts";
import type { Datastore, DriverContext } from "../contract.ts";
import { dumpPostgresql, fixPlan, type FixedPlan } from "./dump.ts";
import { rememberTools } from "./known-tools.ts";
import type { PostgresqlOptions } from "./options.ts";
import { probePostgresql } from "./probe.ts";
import { queryPostgresql } from "./query.ts";
import { openPostgresqlRestore } from "./restore.ts";
import { dumpSqlite } from "./sqlite-dump.ts";
import { openSqliteRestore } from "./sqlite-restore.ts";

/** A configured database or server. It holds no connection between calls but those of a snapshot. */
export function createPostgresqlDatastore(options: PostgresqlOptions, context: DriverContext): Datastore {
  rememberTools(options.binDir);
  const isExport = options.format === "sqlite";
  const dumping = isExport ? createBegunDump((signal) => dumpSqlite(options, context, signal)) : createDumping(options, context);
  return {
    probe: (signal) => probePostgresql(options, context, signal),
    ...(dumping.snapshot === undefined ? {} : { snapshot: dumping.snapshot }),
    dump: dumping.dump,
    openRestore: (target, restoring, signal) =>
      (isExport ? openSqliteRestore : openPostgresqlRestore)(options, target, restoring, context, signal),
    query: (sql, signal) => queryPostgresql(options, context, sql, signal),
    [Symbol.asyncDispose]: dumping.close,
  };
}

function createDumping(
  options: PostgresqlOptions,
  context: DriverContext,
): Pick<Datastore, "snapshot" | "dump"> & { readonly close: () => Promise<void> } {
  // pg_dumpall begins a transaction of its own in each database, as it comes to it.
  if (options.format === "cluster") return { dump: (signal) => dumpPostgresql(options, context, signal), close: () => Promise.resolve() };
  const resources = new AsyncDisposableStack();
  const ending = new AbortController();
  let fixed: FixedPlan | undefined;
  return {
    async snapshot(signal) {
      const link = createSignalLink(signal);
      fixed = await fixPlan(options, context, resources, AbortSignal.any([link.signal, ending.signal]));
      link.follow(undefined);
    },
    dump: (signal) => dumpPostgresql(options, context, signal, fixed),
    async close() {
      await resources.disposeAsync();
      ending.abort();
    },
  };
}
