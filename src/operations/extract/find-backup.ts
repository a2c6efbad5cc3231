import { realpath } from "node:fs/promises";
import { join } from "node:path";
import type { ConcurrencyKey } from "../../base/concurrency-key.ts";
import { describeCause, HoldfastError, readErrno } from "../../base/errors.ts";
import type { CatalogBackup } from "../../catalog/contract.ts";
import { openCatalog } from "../../catalog/open-catalog.ts";
import type { Config, Settings } from "../../config/config.ts";
import { acquireLocks } from "../../queue/locks.ts";
import { assertNamed, createBackupKey, describeDestination, findDestination } from "../find-config.ts";
import { findBackups } from "../sync-destination.ts";
import { openDestination, type BackupAddress } from "../verify.ts";

/** A backup, and where it is read. */
export interface AddressedBackup {
  readonly backup: CatalogBackup;
  readonly address: BackupAddress;
}

export interface BackupQuestion {
  readonly text: string;
  readonly job?: string;
  readonly destination?: string;
  /** For what is only needed to choose; the caller's. */
  readonly scratchDir: string;
}

/**
 * The backup that a person means, by what lies at the destinations of the config themselves: needs neither the daemon nor its state.
 * @param tell gets a line about each destination that cannot be read
 * @throws backup-not-found, ambiguous-name, unknown-name; what the only destination throws
 */
export async function findBackup(
  config: Config,
  { text, job, destination: only, scratchDir }: BackupQuestion,
  tell: (line: string) => void,
  signal: AbortSignal,
): Promise<AddressedBackup> {
  const names = only === undefined ? [...config.destinations.keys()] : [findDestination(config, only).name];
  using catalog = openCatalog({ path: join(scratchDir, "found.db"), whenMissing: "create" });
  const failures: unknown[] = [];
  for (const name of names) {
    try {
      await using destination = await openDestination(describeDestination(config, name));
      catalog.backups.replaceDestination(name, (await findBackups(destination, "", signal)).backups);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof HoldfastError)) throw error;
      failures.push(error);
      if (names.length > 1) tell(`warning: ${name} is passed over: ${describeCause(error)}`);
    }
  }
  if (failures.length > 0 && failures.length === names.length) throw failures[0];
  const scope = {
    host: config.settings.hostname,
    ...(job === undefined ? {} : { job }),
    ...(only === undefined ? {} : { destination: only }),
  };
  if (failures.length === 0) assertNamed(config, scope, (of) => catalog.backups.find({ ...of, limit: 1 }).length > 0);
  const backup = catalog.backups.resolve(text, scope);
  const { destination, folder, manifestKey } = backup;
  return { backup, address: { destination: describeDestination(config, destination), folder, key: manifestKey, lone: false } };
}

/** Where a backup that was found by its path stands at a destination of the config, its removal must wait. */
export async function findBackupKeys(
  config: Config | undefined,
  { path, backup }: { readonly path: string; readonly backup: Pick<CatalogBackup, "id"> },
): Promise<readonly ConcurrencyKey[]> {
  const keys: ConcurrencyKey[] = [];
  for (const { name, options } of config?.destinations.values() ?? []) {
    const own = typeof options === "object" && options !== null && "path" in options ? String(options.path) : undefined;
    if (own === undefined) continue;
    const root = await realpath(own).catch(() => own);
    if (`${path}/`.startsWith(`${root}/`)) keys.push(createBackupKey(name, backup.id));
  }
  return keys;
}

/**
 * Keeps a backup from being removed while it is read. Who may not open the lock files reads without: what is removed meanwhile is an error,
 * never other bytes.
 * @throws busy
 */
export async function lockBackup(
  { runtimeDir }: Settings,
  keys: readonly ConcurrencyKey[],
  tell: (line: string) => void,
  signal: AbortSignal,
): Promise<Disposable> {
  if (keys.length === 0) return { [Symbol.dispose]: () => undefined };
  try {
    return await acquireLocks({ directory: join(runtimeDir, "locks"), keys, holder: "an extraction" }, signal);
  } catch (error) {
    if (!["EACCES", "EPERM", "EROFS", "ENOENT"].includes(readErrno(error) ?? "")) throw error;
    tell(`note: read without the backup's lock, which needs rights on ${runtimeDir}`);
    return { [Symbol.dispose]: () => undefined };
  }
}
