import type { ManifestMember } from "../archive/manifest.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Note } from "../base/note.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { Core } from "./core.ts";
import { listTables } from "./describe-uncounted.ts";
import { readManifest } from "./show-backup.ts";

const shown = 10;

type Held = Pick<ManifestMember, "entries" | "contents">;

/** The members of the backup that was restored after `saved` was made; none where it cannot be told any more. */
export async function readRestored(core: Core, saved: CatalogBackup, signal: AbortSignal): Promise<readonly ManifestMember[]> {
  if (saved.class !== "pre-restore") return [];
  const restore = core.catalog.restores.list().find(({ preRestore }) => preRestore?.id === saved.id);
  const restored = restore === undefined ? undefined : core.catalog.backups.get(restore.destination, restore.backupId);
  if (restored === undefined) return [];
  try {
    return (await readManifest(core, restored, signal)).members;
  } catch (error) {
    if (!(error instanceof HoldfastError) || signal.aborted) throw error;
    return []; // it may be gone, and is not needed
  }
}

/** What was saved before a restore and is in no part of what was restored: an undo takes it back, too. */
export function describeBeyond(saved: Held, restored: Held | undefined): readonly Note[] {
  if (restored === undefined) return [];
  const names = findMissing(listEntries(saved), listEntries(restored)) ?? findMissing(listTables(saved), listTables(restored)) ?? [];
  if (names.length === 0) return [];
  const some = `${names.slice(0, shown).join(", ")}${names.length > shown ? ` and ${names.length - shown} more` : ""}`;
  const message = `The restored backup did not hold ${some}: the undo puts it back, too, to what it was before the restore; what was written to it since is only in the backup that is made before the undo`;
  return [{ level: "warning", code: "undo-takes-more", message }];
}

const listEntries = ({ entries }: Held): readonly string[] => entries.map(({ name }) => name);

function findMissing(saved: readonly string[], restored: readonly string[]): readonly string[] | undefined {
  const missing = saved.filter((name) => !restored.includes(name));
  return missing.length === 0 ? undefined : missing;
}
