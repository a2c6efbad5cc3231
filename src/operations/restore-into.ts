import { mkdir, rename, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import type { BackupReader } from "../archive/backup-reader.ts";
import type { ManifestMember } from "../archive/manifest.ts";
import { makeDirectory, syncDirectory } from "../base/atomic-file.ts";
import { compareContents } from "../base/contents.ts";
import { HoldfastError } from "../base/errors.ts";
import type { SwapStep } from "../datastores/contract.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import { assertEmpty } from "./assert-target-directory.ts";
import type { TaskPorts } from "./setup.ts";
import { openStagingDirectory } from "./staging.ts";
import { openAddressed, openDestination, verifyBackup, type BackupAddress } from "./verify.ts";

/** Holds what is not compared yet; what stands beside it is whole. */
const unfinishedName = ".holdfast-restoring";

export interface RestoreIntoRequest {
  readonly address: BackupAddress;
  /** Members of the backup. */
  readonly datastores: readonly string[];
  /** Must be empty or not there; each datastore gets a directory of its name in it. */
  readonly directory: string;
  readonly stagingDir: string;
  /** How datastores of the backup are configured now, by name: a driver learns from it where this machine's programs are. */
  readonly configured: Readonly<Record<string, unknown>>;
}

export interface RestoredInto {
  readonly paths: readonly string[];
  /** What a place other than the original did not get. */
  readonly notes: readonly string[];
}

interface MemberInto {
  readonly backup: BackupReader;
  readonly member: ManifestMember;
  readonly path: string;
  readonly stagingDir: string;
  readonly configured: RestoreIntoRequest["configured"];
}

/**
 * Restores below a directory of the operator's choosing and leaves the places where the data came from alone. When it throws, the
 * directory is as empty as it was.
 * @throws target-unsafe when something is there
 */
export async function restoreInto(
  { address, datastores, directory, stagingDir, configured }: RestoreIntoRequest,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<RestoredInto> {
  const made = await prepareDirectory(directory);
  const unfinished = join(directory, unfinishedName);
  try {
    await mkdir(unfinished, { mode: 0o700 });
    const { names, notes } = await restoreMembers({ address, datastores, stagingDir, configured, into: unfinished }, ports, signal);
    for (const name of names) await rename(join(unfinished, name), join(directory, name));
    await rmdir(unfinished);
    await syncDirectory(directory);
    return { paths: names.map((name) => join(directory, name)), notes };
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    if (made === "made") await rmdir(directory).catch(() => undefined); // not empty: what is whole stays
    throw error;
  }
}

async function prepareDirectory(directory: string): Promise<"made" | "there"> {
  if ((await assertEmpty(directory)) === "empty") return "there";
  await makeDirectory(directory, 0o700);
  return "made";
}

async function restoreMembers(
  { address, datastores, stagingDir, configured, into }: Omit<RestoreIntoRequest, "directory"> & { readonly into: string },
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<{ readonly names: readonly string[]; readonly notes: readonly string[] }> {
  await using destination = await openDestination(address.destination);
  const backup = await openAddressed(destination, address, signal);
  const members = datastores.map((datastore) => backup.findMember(datastore));
  await verifyBackup(backup, members, stagingDir, ports, signal);
  const there = members.filter(({ entries }) => entries.length > 0);
  for (const member of there) {
    const path = join(into, member.datastore);
    await mkdir(path, { mode: 0o711 });
    await restoreMemberInto({ backup, member, path, stagingDir, configured }, ports, signal);
  }
  return { names: there.map(({ datastore }) => datastore), notes: there.flatMap(describeDropped) };
}

/** Writes one member's files into an empty directory of ours and compares what is there with the manifest. @throws backup-damaged */
export async function restoreMemberInto(
  { backup, member, path, stagingDir, configured }: MemberInto,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<void> {
  const { datastore, kind, entries } = member;
  ports.progress({ phase: "restoring", datastore });
  await using staging = await openStagingDirectory(stagingDir, `${datastore}-into`);
  const driver = findDatastoreDriver(kind);
  const context = {
    name: datastore,
    stagingDir: staging.path,
    progress: (progress: { phase: string; bytes?: number }) => ports.progress({ ...progress, datastore }),
  };
  await using opened = await driver.configure(driver.deriveOptions(entries, configured[datastore])).open(context);
  await using session = await opened.openRestore({ kind: "directory", path }, { absent: false }, signal);
  await session.stage(backup.readMember(member), signal);
  const steps: SwapStep[] = [];
  await session.swap((step) => {
    steps.push(step);
    return Promise.resolve();
  }, signal);
  await driver.settle(steps, signal);
  const differences = compareContents(member.contents, await session.summarize(signal));
  if (differences.length > 0)
    throw new HoldfastError("backup-damaged", `"${datastore}" was restored with other contents: ${differences.slice(0, 5).join("; ")}`);
}

/** What a place other than the original does not get: it may have come from anywhere. */
export function describeDropped({ datastore, contents }: Pick<ManifestMember, "datastore" | "contents">): readonly string[] {
  const count = (key: string): number => Number(contents.facts[key] ?? 0);
  const [devices, setIds] = [count("devices"), count("setIdFiles")];
  return [
    ...(devices > 0 ? [`${datastore}: ${devices} device node${devices === 1 ? " was" : "s were"} not made`] : []),
    ...(setIds > 0 ? [`${datastore}: ${setIds} file${setIds === 1 ? "" : "s"} lost the set-uid or set-gid bit`] : []),
  ];
}
