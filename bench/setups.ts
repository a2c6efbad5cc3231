import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createId } from "../src/base/ids.ts";
import { findDestinationDriver } from "../src/destinations/registry.ts";
import type { BackupSetup, DatastoreSetup } from "../src/operations/setup.ts";
import type { RestoreSetup } from "../src/operations/restore-setup.ts";

/** Directories of one benchmark, made anew. */
export class BenchPlace {
  readonly directory: string;
  readonly destination: { readonly name: string; readonly kind: string; readonly options: { readonly path: string } };

  constructor(directory: string) {
    this.directory = directory;
    this.destination = { name: "bench", kind: "local", options: { path: join(directory, "destination") } };
  }

  async reset(): Promise<void> {
    for (const name of ["destination", "staging"]) rmSync(join(this.directory, name), { recursive: true, force: true });
    mkdirSync(join(this.directory, "staging"), { mode: 0o711 });
    await using opened = await findDestinationDriver("local").configure(this.destination.options).open({ name: "bench" });
    await opened.initialize("init", new AbortController().signal);
  }

  createBackup(job: string, datastore: Omit<DatastoreSetup, "shrink">): BackupSetup {
    return {
      host: "bench",
      version: "bench",
      stagingDir: join(this.directory, "staging"),
      backupId: createId(Date.now()),
      job,
      class: "backup",
      trigger: "bench",
      note: null,
      folder: job,
      layout: "directory",
      nameTemplate: "{job}_{YYYYMMDD}_{HHmmss}",
      timezone: "UTC",
      compression: { method: "zstd", level: 3 },
      infoFiles: [],
      datastores: [{ ...datastore, shrink: "off" }],
      destination: this.destination,
      config: {},
      history: { sequence: 0, previous: null, sizes: {} },
    };
  }

  createRestore(job: string, manifestKey: string, datastore: Omit<DatastoreSetup, "shrink">): RestoreSetup {
    return {
      host: "bench",
      version: "bench",
      stagingDir: join(this.directory, "staging"),
      restoreId: createId(Date.now()),
      address: { destination: this.destination, folder: job, key: manifestKey, lone: false },
      job,
      members: [{ datastore: datastore.name, options: datastore.options }],
      // With a stop command the database is swapped as a file, as the raw tools do; without one it is overwritten in place.
      stop: [{ command: ["true"], timeoutMs: 10_000 }],
      start: [],
      check: [],
      journalDir: join(this.directory, "restores"),
      preRestore: {
        ...this.createBackup(job, datastore),
        class: "pre-restore",
        folder: `${job}-saved`,
        nameTemplate: "pre_restore_{YYYYMMDD}_{HHmmss}",
      },
      unsavable: "refuse",
    };
  }

  /** Writes a setup for `one-operation.ts` and gives its path. */
  save(setup: unknown): string {
    const path = join(this.directory, "setup.json");
    writeFileSync(path, JSON.stringify(setup));
    return path;
  }
}
