import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createId } from "../../src/base/ids.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import { runRestore, type RestoreResult } from "../../src/operations/restore.ts";
import type { RestoreSetup } from "../../src/operations/restore-setup.ts";
import type { Progress } from "../../src/operations/setup.ts";
import { openBackupBed } from "./backup-bed.ts";

/** Options of each datastore by its name; all of one kind. */
export type OptionsByName = Readonly<Record<string, unknown>>;

/** Backups and restores as the daemon's workers make them, without a daemon. */
export interface RestoreBed extends AsyncDisposable {
  backup(datastores: OptionsByName): Promise<BackupResult>;
  /** Restores into the datastores of these options. */
  restore(
    backup: BackupResult,
    datastores: OptionsByName,
    facts?: Partial<RestoreSetup>,
    onProgress?: (progress: Progress) => void,
  ): Promise<RestoreResult>;
}

export async function openRestoreBed(kind: string): Promise<RestoreBed> {
  const bed = await openBackupBed();
  let count = 0;
  const describe = (datastores: OptionsByName): Parameters<typeof bed.describe>[0] =>
    Object.entries(datastores).map(([name, options]) => ({ name, kind, options, shrink: "off" }));
  return {
    backup: (datastores) => bed.run(bed.describe(describe(datastores), { nameTemplate: `b${(count += 1)}` })),
    async restore({ folder, manifestKey }, datastores, facts = {}, onProgress = () => undefined) {
      count += 1;
      const stagingDir = join(bed.staging, `restore-${count}`);
      const preRestoreDir = join(stagingDir, "pre-restore");
      mkdirSync(preRestoreDir, { recursive: true, mode: 0o711 });
      const preRestore = bed.describe(describe(datastores), {
        class: "pre-restore",
        nameTemplate: `pre_restore_${count}`,
        stagingDir: preRestoreDir,
      });
      return await runRestore(
        {
          host: "host",
          version: "0.0.0",
          stagingDir,
          restoreId: createId(Date.now()),
          address: { destination: preRestore.destination, folder, key: manifestKey, lone: false },
          job: "nightly",
          members: Object.entries(datastores).map(([datastore, options]) => ({ datastore, options })),
          stop: [],
          start: [],
          check: [],
          journalDir: join(bed.dir, "restores"),
          preRestore,
          unsavable: "refuse",
          ...facts,
        },
        { now: Date.now, progress: onProgress, log: () => undefined },
        new AbortController().signal,
      );
    },
    [Symbol.asyncDispose]: () => bed[Symbol.asyncDispose](),
  };
}
