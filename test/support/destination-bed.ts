import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Backups } from "../../src/catalog/contract.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import type { Core } from "../../src/operations/core.ts";
import { syncDestination } from "../../src/operations/sync-destination.ts";
import { openBackupBed } from "./backup-bed.ts";
import { openControlBed } from "./control.ts";

export interface DestinationBed {
  readonly core: Core;
  readonly vault: string;
  readonly made: readonly BackupResult[];
  readonly backups: Backups;
}

/** A destination with three backups of the job `nightly`, and a daemon's core that knows them; nothing runs. */
export async function withDestination(work: (bed: DestinationBed) => Promise<void>): Promise<void> {
  await using place = await openBackupBed();
  await using control = await openControlBed();
  mkdirSync(join(place.dir, "data"));
  writeFileSync(join(place.dir, "data/file"), "data");
  const options = { include: [join(place.dir, "data/*")] };
  const made: BackupResult[] = [];
  for (let index = 0; index < 3; index += 1)
    made.push(await place.run(place.describe([{ name: "memory", kind: "files", options, shrink: "off" }])));
  const { core } = control;
  const local = core.config.destinations.get("local");
  if (local === undefined) throw new Error("The control bed has no destination");
  core.config = { ...core.config, destinations: new Map([["local", { ...local, options: { path: place.vault } }]]) };
  await syncDestination(core, "local", new AbortController().signal);
  await work({ core, vault: place.vault, made, backups: core.catalog.backups });
}
