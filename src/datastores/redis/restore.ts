import type { DriverContext, RestoreOptions, RestoreSession, RestoreTarget } from "../contract.ts";
import { HoldfastError } from "../../base/errors.ts";
import { DirectoryRestore } from "./restore-directory.ts";
import { OriginalRestore } from "./restore-original.ts";
import type { RedisOptions } from "./options.ts";
import { isViaLost } from "./source-address.ts";

/**
 * @throws refused for parts: a server's data is replaced as a whole
 * @throws config-invalid where the way to the server stood in its config only
 */
export async function openRedisRestore(
  options: RedisOptions,
  target: RestoreTarget,
  restoring: RestoreOptions,
  context: DriverContext,
): Promise<RestoreSession> {
  if (restoring.parts !== undefined) {
    throw new HoldfastError("refused", `Cannot restore "${context.name}": a Redis server has no parts, its data is replaced as a whole`, {
      hint: "Restore into a directory (--to), load the RDB into another server, and copy the keys from there.",
    });
  }
  if (target.kind === "original" && isViaLost(options.via)) {
    throw new HoldfastError(
      "config-invalid",
      `Cannot restore "${context.name}": its server was reached through a command (via), which is in no backup, and another server may have its address here`,
      { hint: "Write a config that has the datastore with its via, or restore into a directory (--to)." },
    );
  }
  if (target.kind === "original") return new OriginalRestore(options, restoring, context);
  return new DirectoryRestore(options, target, restoring, context);
}
