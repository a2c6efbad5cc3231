import { backupKey, manifestKey, objectKey } from "../archive/backup-keys.ts";
import type { BackupReader } from "../archive/backup-reader.ts";
import { sealManifest } from "../archive/manifest.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Destination } from "../destinations/contract.ts";
import { openBackup } from "../archive/backup-reader.ts";
import type { DestinationSetup, TaskPorts } from "./setup.ts";
import { openAddressed, openDestination, verifyBackup, type VerifySetup } from "./verify.ts";

export interface CopySetup extends VerifySetup {
  readonly to: DestinationSetup;
}

export interface CopyResult {
  readonly id: string;
  readonly name: string;
  readonly destination: string;
  readonly folder: string;
  readonly manifestKey: string;
}

/** Copies a published backup byte for byte to another destination, reads it back there and publishes it (D14). Deletes nothing. */
export async function runCopy(setup: CopySetup, ports: TaskPorts, signal: AbortSignal): Promise<CopyResult> {
  await using source = await openDestination(setup.address.destination);
  await using target = await openDestination(setup.to);
  const backup = await openAddressed(source, setup.address, signal);
  const { manifest, location } = backup;
  const result = {
    id: manifest.id,
    name: manifest.name,
    destination: setup.to.name,
    folder: location.folder,
    manifestKey: manifestKey(location),
  };
  if (await target.exists(backupKey(location), signal)) {
    const there = await openBackup(target, location.folder, manifestKey(location), signal).catch(() => undefined);
    if (there?.sha256 === backup.sha256) return result;
    throw new HoldfastError("conflict", `The destination "${setup.to.name}" has another backup named ${manifest.name}`);
  }
  await using publication = await target.openPublication(
    location.folder,
    manifest.name,
    manifest.layout === "directory" ? "directory" : "beside",
    manifest.id,
    signal,
  );
  for (const object of listObjects(backup)) {
    ports.progress({ phase: `copying ${object}` });
    await publication.put(object, source.get(objectKey(location, object), undefined, signal), signal);
  }
  const { name, body } = {
    name: manifest.layout === "directory" ? "manifest.json" : `${manifest.name}.manifest.json`,
    body: sealManifest(manifest),
  };
  await publication.publish({ name, body }, signal);
  await verifyCopy(target, location.folder, result, setup.stagingDir, ports, signal);
  return result;
}

/** A copy that cannot be read back is taken away again. */
async function verifyCopy(
  target: Destination,
  folder: string,
  result: CopyResult,
  stagingDir: string,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<void> {
  try {
    const copied = await openBackup(target, folder, result.manifestKey, signal);
    await verifyBackup(copied, copied.manifest.members, stagingDir, ports, signal);
  } catch (error) {
    await target.remove(result.manifestKey, signal);
    await target.remove(backupKey({ folder, name: result.name }), signal);
    throw error;
  }
}

function listObjects({ manifest }: BackupReader): readonly string[] {
  if (manifest.archive !== null) return [manifest.archive.object];
  return [...manifest.members.flatMap(({ entries }) => entries.map(({ object }) => object)), ...manifest.texts.map(({ name }) => name)];
}
