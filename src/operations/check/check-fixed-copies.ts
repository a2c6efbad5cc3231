import type { Config } from "../../config/config.ts";
import { listOccupied } from "../../config/occupied-places.ts";
import { inspectPlace } from "../place-file.ts";
import { fail, type Finding, ok } from "./finding.ts";
import { findingOfError } from "./finding-of-error.ts";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { dirname } from "node:path";

/** Looks whether the files that jobs keep under fixed names can be replaced (A1). */
export async function checkFixedCopies(config: Config, signal: AbortSignal): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const occupied = listOccupied(config);
  for (const job of config.jobs.values()) {
    for (const copy of job.fixedCopies) {
      const what = `copy of ${copy.datastore}`;
      try {
        await inspectPlace({ ...copy, occupied });
        findings.push((await isWritable(dirname(copy.path))) ? ok(what, `${copy.path} can be replaced`) : refuse(what, copy.path));
      } catch (error) {
        signal.throwIfAborted();
        findings.push(findingOfError("fail", what, error));
      }
    }
  }
  return findings;
}

function refuse(what: string, path: string): Finding {
  return fail(what, `${dirname(path)} cannot be written to`, "`holdfast check --verbose` prints the drop-in that the service needs.");
}

async function isWritable(directory: string): Promise<boolean> {
  return await access(directory, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
}
