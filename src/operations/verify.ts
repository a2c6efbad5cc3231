import { parseManifestKey } from "../archive/backup-keys.ts";
import { openBackup, openLoneArchive, type BackupReader } from "../archive/backup-reader.ts";
import type { ManifestMember } from "../archive/manifest.ts";
import { compareContents } from "../base/contents.ts";
import { HoldfastError } from "../base/errors.ts";
import { prefixError } from "../base/prefix-error.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import type { Destination } from "../destinations/contract.ts";
import { findDestinationDriver } from "../destinations/registry.ts";
import type { DestinationSetup, Surroundings, TaskPorts } from "./setup.ts";
import { openStagingDirectory } from "./staging.ts";

/** Where a backup's manifest is; an archive that was copied alone has it inside. */
export interface BackupAddress {
  readonly destination: DestinationSetup;
  readonly folder: string;
  /** Key of the manifest, or of the archive itself when `lone`. */
  readonly key: string;
  readonly lone: boolean;
}

export interface VerifySetup extends Surroundings {
  readonly address: BackupAddress;
}

export interface VerifyResult {
  readonly id: string;
  readonly name: string;
  readonly members: readonly { readonly datastore: string; readonly bytes: number }[];
  readonly tookMs: number;
}

export async function openDestination({ name, kind, options }: DestinationSetup): Promise<Destination> {
  return await findDestinationDriver(kind).configure(options).open({ name });
}

export async function openAddressed(destination: Destination, address: BackupAddress, signal: AbortSignal): Promise<BackupReader> {
  if (!address.lone) {
    try {
      return await openBackup(destination, address.folder, address.key, signal);
    } catch (error) {
      throw explainMissing(destination, address.key, error);
    }
  }
  return await openLoneArchive(destination, address.folder, address.key.slice(address.key.lastIndexOf("/") + 1), signal);
}

/** L7: a backup that is on record and not there is told as such, not as an object that nobody has heard of. */
function explainMissing(destination: Destination, key: string, error: unknown): unknown {
  if (!(error instanceof HoldfastError) || error.code !== "backup-not-found") return error;
  const name = parseManifestKey(key)?.name ?? key;
  return new HoldfastError("backup-not-found", `The backup ${name} is missing at "${destination.name}": ${error.message}`, {
    cause: error,
    hint: "Bring its files back, or choose another one; `holdfast rebuild` brings the list up to date.",
  });
}

/**
 * Reads a stored backup to its end: every hash, every format, contents against the manifest. Touches no datastore.
 * @throws backup-damaged, backup-incomplete, manifest-invalid
 */
export async function runVerify(setup: VerifySetup, ports: TaskPorts, signal: AbortSignal): Promise<VerifyResult> {
  await using destination = await openDestination(setup.address.destination);
  const startedAtMs = ports.now();
  const backup = await openAddressed(destination, setup.address, signal);
  await verifyBackup(backup, backup.manifest.members, setup.stagingDir, ports, signal);
  const members = backup.manifest.members.map(({ datastore, entries }) => ({
    datastore,
    bytes: entries.reduce((sum, entry) => sum + entry.plain.bytes, 0),
  }));
  return { id: backup.manifest.id, name: backup.manifest.name, members, tookMs: ports.now() - startedAtMs };
}

/** Verifies the frame and the given members of a backup: every hash, every format, contents against the manifest. */
export async function verifyBackup(
  backup: BackupReader,
  members: readonly ManifestMember[],
  stagingDir: string,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<void> {
  await verifyMembers(backup, members, ports, signal, (member) => verifyContents(backup, member, stagingDir, ports, signal));
}

/**
 * `contents`: every hash, the format, the contents; `plain`: every hash; `stored`: the hashes of what is stored, nothing is decompressed; `form`:
 * those, and that the trees are none that must not be unpacked.
 */
export type VerifyDepth = "contents" | "plain" | "stored" | "form";

/** The same for who stages all of it before anything is touched, and reads there again what is not read here. */
export async function verifyForStaging(
  backup: BackupReader,
  members: readonly ManifestMember[],
  { stagingDir, findDepth }: { readonly stagingDir: string; readonly findDepth: (member: ManifestMember) => VerifyDepth },
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<void> {
  await verifyMembers(backup, members, ports, signal, async (member) => {
    const depth = findDepth(member);
    if (depth === "contents") await verifyContents(backup, member, stagingDir, ports, signal);
    else await verifyBytes(backup, member, depth, signal);
  });
}

async function verifyContents(
  backup: BackupReader,
  member: ManifestMember,
  stagingDir: string,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<void> {
  await using staging = await openStagingDirectory(stagingDir, `${member.datastore}-verify`);
  const context = {
    name: member.datastore,
    stagingDir: staging.path,
    progress: (progress: { phase: string; bytes?: number }) => ports.progress({ ...progress, datastore: member.datastore }),
  };
  const { contents } = await findDatastoreDriver(member.kind).check(backup.readMember(member), context, signal);
  const differences = compareContents(member.contents, contents);
  if (differences.length === 0) return;
  throw new HoldfastError(
    "backup-damaged",
    `${backup.manifest.name}: "${member.datastore}" does not hold what its manifest states: ${differences.slice(0, 5).join("; ")}`,
    {
      hint: "Use another backup; `holdfast verify --all` tells which ones are good.",
    },
  );
}

async function verifyBytes(
  backup: BackupReader,
  member: ManifestMember,
  depth: Exclude<VerifyDepth, "contents">,
  signal: AbortSignal,
): Promise<void> {
  const { refuseHostileTree } = findDatastoreDriver(member.kind);
  try {
    if (depth === "stored") await backup.verifyStored(member, signal);
    else if (depth === "form") for await (const entry of backup.readMember(member, "counted")) await refuseHostileTree?.(entry, signal);
    else for await (const entry of backup.readMember(member)) for await (const _ of entry.open(signal)) signal.throwIfAborted();
  } catch (error) {
    throw signal.aborted ? error : prefixError(`Cannot check "${member.datastore}"`, error);
  }
}

async function verifyMembers(
  backup: BackupReader,
  members: readonly ManifestMember[],
  ports: TaskPorts,
  signal: AbortSignal,
  verify: (member: ManifestMember) => Promise<void>,
): Promise<void> {
  ports.progress({ phase: "verifying" });
  await withMissingAsIncomplete(backup, () => backup.verifyFrame(signal));
  for (const member of members) {
    if (member.entries.length === 0) continue;
    ports.progress({ phase: "verifying", datastore: member.datastore });
    await withMissingAsIncomplete(backup, () => verify(member));
  }
}

/** An object that the manifest names and the destination does not have is damage, not a wrong name. */
async function withMissingAsIncomplete<Result>(backup: BackupReader, read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== "backup-not-found") throw error;
    throw new HoldfastError("backup-incomplete", `A part of ${backup.manifest.name} is missing: ${error.message}`, {
      cause: error,
      hint: "Use another backup, or bring the part back from a copy.",
    });
  }
}
