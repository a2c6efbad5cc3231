import { join } from "node:path";
import { reportError, type ErrorReport } from "../base/errors.ts";
import type { RestoreOptions, TargetFacts } from "../datastores/contract.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import type { Surroundings, TaskPorts } from "./setup.ts";
import { openStagingDirectory } from "./staging.ts";

export interface InspectionSetup extends Surroundings {
  readonly targets: readonly {
    readonly datastore: string;
    readonly kind: string;
    readonly options: unknown;
    /** Of the member that would come back. */
    readonly absent: boolean;
    /** What alone would come back. */
    readonly restoring: Pick<RestoreOptions, "parts" | "beyond">;
  }[];
}

export interface InspectedTarget {
  readonly datastore: string;
  readonly facts: TargetFacts | null;
  /** Why nothing can be said of it, or put there. */
  readonly problem: ErrorReport | null;
}

/** Looks at what a restore would replace, and changes nothing. One datastore's trouble hides no other. */
export async function runInspection(setup: InspectionSetup, ports: TaskPorts, signal: AbortSignal): Promise<readonly InspectedTarget[]> {
  const inspected: InspectedTarget[] = [];
  for (const { datastore, kind, options, absent, restoring } of setup.targets) {
    signal.throwIfAborted();
    ports.progress({ phase: "looking", datastore });
    try {
      await using staging = await openStagingDirectory(join(setup.stagingDir, "inspection"), datastore);
      const context = { name: datastore, stagingDir: staging.path, progress: () => undefined };
      await using opened = await findDatastoreDriver(kind).configure(options).open(context);
      await using session = await opened.openRestore({ kind: "original" }, { absent, ...restoring }, signal);
      inspected.push({ datastore, facts: await session.inspect(signal), problem: null });
    } catch (error) {
      inspected.push({ datastore, facts: null, problem: reportError(error) });
    }
  }
  return inspected;
}
