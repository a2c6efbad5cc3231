import { HoldfastError } from "../base/errors.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { Core } from "./core.ts";
import { assertNamed } from "./find-config.ts";
import { createNoneGoodError } from "./passed-over.ts";

/**
 * The backup that a person means; `latest` is this machine's, where it has made one.
 * @throws backup-not-found, ambiguous-name; unknown-name for a job or destination that nothing is known of
 */
export function resolveBackup(
  core: Core,
  text: string,
  { job, destination }: { readonly job?: string | undefined; readonly destination?: string | undefined } = {},
): CatalogBackup {
  const scope = { ...(job === undefined ? {} : { job }), ...(destination === undefined ? {} : { destination }) };
  try {
    return core.catalog.backups.resolve(text, { host: core.config.settings.hostname, ...scope });
  } catch (error) {
    assertNamed(core.config, scope, (of) => core.catalog.backups.find({ ...of, limit: 1 }).length > 0);
    if (text !== "latest" || !(error instanceof HoldfastError) || error.code !== "backup-not-found") throw error;
    throw createNoneGoodError(error, core.catalog.backups.find(scope), [], scope);
  }
}
