import type { DatastoreDriver } from "../contract.ts";
import { defineDatastore } from "../define-datastore.ts";
import { checkDatabase } from "./check.ts";
import { createSqliteDatastore } from "./datastore.ts";
import { identifyDatabase } from "./identify.ts";
import { sqliteOptions } from "./options.ts";
import { rollBackSwap, settleSwap } from "./roll-back.ts";

export const sqliteDriver: DatastoreDriver = defineDatastore({
  kind: "sqlite",
  stageChecks: "format",
  description: "A SQLite database, copied while applications write to it.",
  options: sqliteOptions,
  parts: "tables",
  sourcePaths: (options) => [options.path],
  identify: (options) => identifyDatabase(options.path),
  open: (options, context) => Promise.resolve(createSqliteDatastore(options, context)),
  deriveOptions: (entries) => ({ path: entries[0]?.sourcePath ?? "" }),
  queries: "sql",
  check: checkDatabase,
  rollBack: rollBackSwap,
  settle: (steps) => settleSwap(steps),
});
