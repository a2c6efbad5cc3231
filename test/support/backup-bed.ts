import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createId } from "../../src/base/ids.ts";
import { localDestination } from "../../src/destinations/local/local-destination.ts";
import { runBackup, type BackupResult } from "../../src/operations/backup.ts";
import type { BackupSetup, DatastoreSetup, Progress, TaskPorts } from "../../src/operations/setup.ts";
import { runVerify } from "../../src/operations/verify.ts";

const never = new AbortController().signal;

/** A destination and a staging directory of their own, to back up into without a daemon. */
export interface BackupBed extends AsyncDisposable {
  readonly dir: string;
  readonly vault: string;
  readonly staging: string;
  /** Marks the destination, as a test does that has mounted another one there. */
  initialize(): Promise<void>;
  describe(datastores: readonly DatastoreSetup[], facts?: Partial<BackupSetup>): BackupSetup;
  run(setup: BackupSetup, onProgress?: (progress: Progress) => void, signal?: AbortSignal): Promise<BackupResult>;
  verify(backup: BackupResult): Promise<void>;
  /** Everything at the destination but its marker. */
  listVault(): readonly string[];
}

export async function openBackupBed(parent = tmpdir()): Promise<BackupBed> {
  const dir = mkdtempSync(join(parent, "backup-"));
  const [vault, staging] = [join(dir, "vault"), join(dir, "staging")];
  await mkdir(vault, { mode: 0o750 });
  await mkdir(staging, { mode: 0o700 });
  const place = { name: "local", kind: "local", options: { path: vault } };
  const initialize = async (): Promise<void> => {
    await using destination = await localDestination.configure(place.options).open({ name: "local" });
    await destination.initialize("init", never);
  };
  await initialize();
  const ports = (onProgress: TaskPorts["progress"]): TaskPorts => ({ now: Date.now, progress: onProgress, log: () => undefined });
  const surroundings = { host: "host", version: "0.0.0", stagingDir: staging };
  return {
    dir,
    vault,
    staging,
    describe: (datastores, facts = {}) => ({
      ...surroundings,
      holdsDir: join(dir, "holds"),
      backupId: createId(Date.now()),
      job: "nightly",
      class: "backup",
      trigger: "test",
      note: null,
      folder: "",
      layout: "directory",
      nameTemplate: "b_{YYYYMMDD}_{HHmmss}",
      timezone: "UTC",
      compression: { method: "none" },
      infoFiles: [],
      datastores,
      destination: place,
      config: {},
      history: { sequence: 0, previous: null, sizes: {} },
      ...facts,
    }),
    initialize,
    run: (setup, onProgress = () => undefined, signal = never) => runBackup(setup, ports(onProgress), signal),
    async verify({ folder, manifestKey }) {
      const address = { destination: place, folder, key: manifestKey, lone: false };
      await runVerify(
        { ...surroundings, address },
        ports(() => undefined),
        never,
      );
    },
    listVault: () => readdirSync(vault, { recursive: true, encoding: "utf8" }).filter((path) => path !== ".holdfast-destination.json"),
    async [Symbol.asyncDispose]() {
      rmSync(dir, { recursive: true, force: true });
      await Promise.resolve();
    },
  };
}
