import type { Manifest } from "../archive/manifest.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { Core } from "./core.ts";
import { addressBackup } from "./prepare-task.ts";
import { openAddressed, openDestination } from "./verify.ts";

/** Reads a backup's manifest at its destination. */
export async function readManifest(core: Core, backup: CatalogBackup, signal: AbortSignal): Promise<Manifest> {
  const address = addressBackup(core, { destination: backup.destination, backupId: backup.id });
  await using destination = await openDestination(address.destination);
  return (await openAddressed(destination, address, signal)).manifest;
}

/** Reads one generated text of a backup (D3) without restoring anything. */
export async function readBackupText(core: Core, backup: CatalogBackup, name: string, signal: AbortSignal): Promise<string> {
  const address = addressBackup(core, { destination: backup.destination, backupId: backup.id });
  await using destination = await openDestination(address.destination);
  return await (await openAddressed(destination, address, signal)).readText(name, signal);
}
