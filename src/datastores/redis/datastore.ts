import type { Datastore, DriverContext } from "../contract.ts";
import { dumpServer } from "./dump.ts";
import { openFixedRdb, type FixedRdb } from "./fixed-rdb.ts";
import type { RedisOptions } from "./options.ts";
import { probeServer } from "./probe.ts";
import { openRedisRestore } from "./restore.ts";

/** A configured server. It holds nothing open between calls but a snapshot. */
export function createRedisDatastore(options: RedisOptions, context: DriverContext): Datastore {
  let fixed: FixedRdb | undefined;
  return {
    probe: (signal) => probeServer(options, context, signal),
    snapshot: async (signal) => {
      fixed = await openFixedRdb(options, context, signal);
    },
    dump: (signal) => (fixed === undefined ? dumpServer(options, context, signal) : fixed.dump(signal)),
    openRestore: (target, restoring) => openRedisRestore(options, target, restoring, context),
    [Symbol.asyncDispose]: async () => fixed?.[Symbol.asyncDispose](),
  };
}
