import type { CatalogBackup } from "../catalog/contract.ts";
import type { Core } from "./core.ts";

/**
 * The backup that a person means; `latest` is this machine's, where it has made one.
 * @throws backup-not-found, ambiguous-name
 */
export function resolveBackup(
  core: Core,
  text: string,
  { job, destination }: { readonly job?: string | undefined; readonly destination?: string | undefined } = {},
): CatalogBackup {
  return core.catalog.backups.resolve(text, {
    host: core.config.settings.hostname,
    ...(job === undefined ? {} : { job }),
    ...(destination === undefined ? {} : { destination }),
  });
}
