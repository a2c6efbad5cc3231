import { join } from "node:path";
import { HoldfastError } from "../../src/base/errors.ts";
import type { RestoreSetup } from "../../src/operations/restore-setup.ts";

/** Where a restore of a small world keeps its journal. */
export function journalOf(setup: RestoreSetup): string {
  return join(setup.journalDir, `${setup.restoreId}.restore.jsonl`);
}

export function hasCode(code: HoldfastError["code"]): (error: unknown) => boolean {
  return (error) => error instanceof HoldfastError && error.code === code;
}
