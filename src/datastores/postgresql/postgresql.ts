import type { DatastoreDriver } from "../contract.ts";
import { defineDatastore } from "../define-datastore.ts";
import { checkDump } from "./check.ts";
import { createPostgresqlDatastore } from "./datastore.ts";
import { pickFields } from "../../base/pick-defined.ts";
import { deriveOptions } from "./derive-options.ts";
import { identifyPostgresql, isOtherSystem } from "./identify.ts";
import { postgresqlOptions } from "./options.ts";
import { retargetDatabase } from "./retarget.ts";
import { withSqliteCheck } from "./sqlite-check.ts";
import { isImportStep, rollBackImport, settleImport } from "./sqlite-undo.ts";
import { rollBackRestore, settleRestore } from "./swap-roll-back.ts";

export const postgresqlDriver: DatastoreDriver = defineDatastore({
  kind: "postgresql",
  stageChecks: "format",
  description: "A PostgreSQL database, several, or a whole server, by pg_dump.",
  options: postgresqlOptions,
  // One that stands still answers nobody.
  waysToCopy: () => ["live"],
  sourcePaths: () => [],
  identify: identifyPostgresql,
  open: (options, context) => Promise.resolve(createPostgresqlDatastore(options, context)),
  isOtherServer: isOtherSystem,
  retarget: retargetDatabase,
  deriveOptions: (entries, own) => ({ ...pickFields(own, ["binDir"]), ...deriveOptions(entries) }),
  parts: "tables",
  queries: "sql",
  check: withSqliteCheck(checkDump),
  rollBack: (steps, signal, options) => (steps.some(isImportStep) ? rollBackImport : rollBackRestore)(steps, signal, options),
  settle: (steps, signal, options) => (steps.some(isImportStep) ? settleImport : settleRestore)(steps, signal, options),
});
