import type { ManifestMember } from "../archive/manifest.ts";
import { emptyContents } from "../base/contents.ts";
import { HoldfastError } from "../base/errors.ts";
import type { RestoreSession, SavedMember, TargetFacts } from "../datastores/contract.ts";
import type { BackupResult } from "./backup.ts";

interface SavedTarget {
  readonly member: Pick<ManifestMember, "datastore">;
  readonly session: RestoreSession;
  /** As it was before it was saved. */
  readonly facts: Pick<TargetFacts, "present">;
}

const nothing: SavedMember = { status: "absent", contents: emptyContents, entries: [] };

/**
 * The last look before anything is replaced: what is there is in the backup that has just been made of it, or the user has given it up.
 * @throws target-in-use, target-unsafe
 */
export async function assertSaved(
  targets: readonly SavedTarget[],
  preRestore: Pick<BackupResult, "manifest"> | undefined,
  signal: AbortSignal,
): Promise<void> {
  for (const { member, session, facts } of targets) {
    const found = preRestore?.manifest.members.find(({ datastore }) => datastore === member.datastore);
    const { status, contents, entries } = found ?? nothing;
    // Left aside as it is, after an explicit word.
    if (status === "failed" || (found === undefined && facts.present)) continue;
    if (status === "absent") await assertNothingThere(member.datastore, session, signal);
    await session.assertSaved?.({ status, contents, entries }, signal);
  }
}

/** A program may have made it since, or a server have stopped before it could be read. */
async function assertNothingThere(datastore: string, session: RestoreSession, signal: AbortSignal): Promise<void> {
  const { present, holds, summary } = await session.inspect(signal);
  if (!present || holds === "nothing") return;
  throw new HoldfastError("target-in-use", `"${datastore}" is there now, and was not when the present data was saved: ${summary}`, {
    hint: "Stop the program that makes it (restore.stop), then restore again: it is saved first then.",
  });
}
