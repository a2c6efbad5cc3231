import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { compareContents } from "../base/contents.ts";
import { HoldfastError } from "../base/errors.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import type { TaskPorts } from "./setup.ts";
import { openStagingDirectory } from "./staging.ts";
import { openAddressed, openDestination, type VerifySetup } from "./verify.ts";

export interface DrillResult {
  readonly id: string;
  readonly name: string;
  /** Time that restoring each datastore took, its contents compared. */
  readonly members: readonly { readonly datastore: string; readonly tookMs: number }[];
  readonly tookMs: number;
}

export interface DrillSetup extends VerifySetup {
  /** How datastores of the backup are configured now, by name, for what this machine's programs are; none without a config. */
  readonly options?: Readonly<Record<string, unknown>>;
}

/**
 * Proves that a backup can be restored: restores every member into a scratch directory and compares its contents with the manifest.
 * @throws backup-damaged when the restored contents differ
 */
export async function runDrill(setup: DrillSetup, ports: TaskPorts, signal: AbortSignal): Promise<DrillResult> {
  await using destination = await openDestination(setup.address.destination);
  const startedAtMs = ports.now();
  const backup = await openAddressed(destination, setup.address, signal);
  const members: { datastore: string; tookMs: number }[] = [];
  for (const member of backup.manifest.members) {
    if (member.entries.length === 0) continue;
    const { datastore, kind, entries } = member;
    ports.progress({ phase: "drilling", datastore });
    const memberStartedAtMs = ports.now();
    await using scratch = await openStagingDirectory(setup.stagingDir, `${datastore}-drill`);
    const driver = findDatastoreDriver(kind);
    const context = {
      name: datastore,
      stagingDir: await makeInside(scratch.path, "staging"),
      progress: (progress: { phase: string; bytes?: number }) => ports.progress({ ...progress, datastore }),
    };
    await using opened = await driver.configure(driver.deriveOptions(entries, setup.options?.[datastore])).open(context);
    await using session = await opened.openRestore(
      { kind: "scratch", path: await makeInside(scratch.path, "restored") },
      { absent: false },
      signal,
    );
    await session.stage(backup.readMember(member), signal);
    await session.swap(() => Promise.resolve(), signal);
    const differences = compareContents(member.contents, await session.summarize(signal));
    if (differences.length > 0) {
      throw new HoldfastError(
        "backup-damaged",
        `The drill of ${backup.manifest.name} restored other contents of "${datastore}": ${differences.slice(0, 5).join("; ")}`,
        {
          hint: "Do not rely on this backup; run `holdfast verify --all` and back up again.",
        },
      );
    }
    members.push({ datastore, tookMs: ports.now() - memberStartedAtMs });
  }
  return { id: backup.manifest.id, name: backup.manifest.name, members, tookMs: ports.now() - startedAtMs };
}

async function makeInside(parent: string, name: string): Promise<string> {
  const path = join(parent, name);
  await mkdir(path, { mode: 0o711 });
  return path;
}
