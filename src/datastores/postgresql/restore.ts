import { HoldfastError } from "../../base/errors.ts";
import type { DriverContext, RestoreOptions, RestoreSession, RestoreTarget } from "../contract.ts";
import type { PostgresqlOptions } from "./options.ts";
import { DatabaseRestore } from "./restore-databases.ts";
import { DirectoryRestore } from "./restore-directory.ts";
import { explainRestore } from "./restore-explain.ts";
import { ScratchRestore } from "./restore-scratch.ts";
import { resolveServer } from "./restore-server.ts";
import { TablesRestore } from "./restore-tables.ts";

/** A restore of one member: into its server, into files, or into a server of our own. */
export async function openPostgresqlRestore(
  options: PostgresqlOptions,
  target: RestoreTarget,
  restoring: RestoreOptions,
  context: DriverContext,
  signal: AbortSignal,
): Promise<RestoreSession> {
  try {
    if (restoring.parts !== undefined && target.kind !== "original")
      throw new HoldfastError("usage", "single tables can only be restored into their own database");
    if (target.kind === "directory") return new DirectoryRestore(target.path, context);
    if (target.kind === "scratch") return new ScratchRestore(options, target.path, context);
    const server = await resolveServer(options, signal);
    if (restoring.parts !== undefined) return new TablesRestore(options, restoring.parts, restoring, context, server);
    return new DatabaseRestore(options, restoring, context, server);
  } catch (error) {
    throw explainRestore(context.name, error);
  }
}
