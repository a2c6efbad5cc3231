import type { DatastoreDriver } from "../contract.ts";
import { defineDatastore } from "../define-datastore.ts";
import { checkStoredRdb } from "./check-rdb.ts";
import { createRedisDatastore } from "./datastore.ts";
import { identifyServer, listFiles } from "./identify.ts";
import { redisOptions } from "./options.ts";
import { rollBackSwap, settleSwap } from "./roll-back.ts";
import { readSource } from "./source-address.ts";

export const redisDriver: DatastoreDriver = defineDatastore({
  kind: "redis",
  stageChecks: "format",
  description: "A Redis or Valkey server, saved as an RDB file while applications use it.",
  options: redisOptions,
  // One that stands still answers nobody.
  waysToCopy: () => ["live"],
  sourcePaths: listFiles,
  identify: identifyServer,
  open: (options, context) => Promise.resolve(createRedisDatastore(options, context)),
  deriveOptions: readSource,
  check: checkStoredRdb,
  rollBack: rollBackSwap,
  settle: (steps) => settleSwap(steps),
});
