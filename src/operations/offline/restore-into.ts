import { mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectory, syncDirectory } from "../../base/atomic-file.ts";
import { compareContents } from "../../base/contents.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import type { SwapStep } from "../../datastores/contract.ts";
import { findDatastoreDriver } from "../../datastores/registry.ts";
import type { TaskPorts } from "../setup.ts";
import { openStagingDirectory } from "../staging.ts";
import { openAddressed, openDestination, verifyBackup } from "../verify.ts";
import type { OfflinePlan } from "./plan-restore.ts";

/** Holds what is not compared yet; what stands beside it is whole. */
const unfinishedName = ".holdfast-restoring";

export interface RestoreIntoRequest {
  readonly plan: OfflinePlan;
  /** Must be empty or not there; each datastore gets a directory of its name in it. */
  readonly directory: string;
  readonly stagingDir: string;
}

/**
 * Restores below a directory of the operator's choosing and leaves the places where the data came from alone. When it throws, the
 * directory is as empty as it was.
 * @throws target-unsafe when something is there
 */
export async function restoreInto(
  { plan, directory, stagingDir }: RestoreIntoRequest,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const made = await prepareDirectory(directory);
  const unfinished = join(directory, unfinishedName);
  try {
    await mkdir(unfinished, { mode: 0o700 });
    const names = await restoreMembers(plan, unfinished, stagingDir, ports, signal);
    for (const name of names) await rename(join(unfinished, name), join(directory, name));
    await rmdir(unfinished);
    await syncDirectory(directory);
    return names.map((name) => join(directory, name));
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    if (made === "made") await rmdir(directory).catch(() => undefined); // not empty: what is whole stays
    throw error;
  }
}

/** @throws target-unsafe */
export async function assertEmpty(directory: string): Promise<"empty" | "absent"> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if (readErrno(error) === "ENOENT") return "absent";
    if (readErrno(error) !== "ENOTDIR") throw error;
    throw new HoldfastError("target-unsafe", `${directory} is not a directory`, {
      hint: "Name a directory that is empty or not there yet.",
    });
  }
  if (names.length === 0) return "empty";
  throw new HoldfastError("target-unsafe", `${directory} is not empty: ${names.toSorted().slice(0, 3).join(", ")}`, {
    hint: "Nothing is overwritten; name a directory that is empty or not there yet.",
  });
}

async function prepareDirectory(directory: string): Promise<"made" | "there"> {
  if ((await assertEmpty(directory)) === "empty") return "there";
  await makeDirectory(directory, 0o700);
  return "made";
}

async function restoreMembers(
  plan: OfflinePlan,
  into: string,
  stagingDir: string,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<readonly string[]> {
  await using destination = await openDestination(plan.chosen.address.destination);
  const backup = await openAddressed(destination, plan.chosen.address, signal);
  const members = plan.members.map(({ target }) => backup.findMember(target.member.datastore));
  await verifyBackup(backup, members, stagingDir, ports, signal);
  const names: string[] = [];
  for (const { target } of plan.members) {
    const { datastore, kind, entries } = target.member;
    if (entries.length === 0) continue;
    ports.progress({ phase: "restoring", datastore });
    const path = join(into, datastore);
    await mkdir(path, { mode: 0o711 });
    await using staging = await openStagingDirectory(stagingDir, `${datastore}-into`);
    const driver = findDatastoreDriver(kind);
    const context = {
      name: datastore,
      stagingDir: staging.path,
      progress: (progress: { phase: string; bytes?: number }) => ports.progress({ ...progress, datastore }),
    };
    await using opened = await driver.configure(driver.deriveOptions(entries)).open(context);
    await using session = await opened.openRestore({ kind: "directory", path }, { absent: false }, signal);
    const member = backup.findMember(datastore);
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
    names.push(datastore);
  }
  return names;
}
