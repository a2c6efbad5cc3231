import type { Datastore, DriverContext } from "../contract.ts";
import { dumpServer } from "./dump.ts";
import type { RedisOptions } from "./options.ts";
import { probeServer } from "./probe.ts";
import { openRedisRestore } from "./restore.ts";

/** A configured server. It holds nothing open between calls. */
export function createRedisDatastore(options: RedisOptions, context: DriverContext): Datastore {
  return {
    probe: (signal) => probeServer(options, context, signal),
    dump: (signal) => dumpServer(options, context, signal),
    openRestore: (target, restoring) => openRedisRestore(options, target, restoring, context),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
