import type { BackupReader } from "../archive/backup-reader.ts";
import type { ManifestMember } from "../archive/manifest.ts";
import { describeCause } from "../base/errors.ts";
import type { Note } from "../base/note.ts";
import type { RestoreOptions, RestoreSession } from "../datastores/contract.ts";
import { describeDuration } from "../base/parse-duration.ts";

/** A large tree has to be read to its end for that; a plan must not keep its reader waiting. */
const lookUpMs = 10_000;

/** What the plan of a restore says of parts that the backup does not have, for which the restore would be refused. */
export async function lookUpParts(
  session: RestoreSession,
  open: () => Promise<{ readonly backup: BackupReader; readonly member: ManifestMember }>,
  { parts, beyond }: Pick<RestoreOptions, "parts" | "beyond">,
  signal: AbortSignal,
): Promise<readonly Note[]> {
  if (parts === undefined || beyond !== "keep" || session.findUnmet === undefined) return [];
  const limit = AbortSignal.timeout(lookUpMs);
  try {
    const { backup, member } = await open();
    const unmet = await session.findUnmet(backup.readMember(member), AbortSignal.any([signal, limit]));
    if (unmet.length === 0) return [];
    const message = `The backup has nothing that matches ${unmet.join(", ")}: the restore is refused`;
    return [{ level: "warning", code: "part-not-found", message }];
  } catch (error) {
    signal.throwIfAborted();
    const why = limit.aborted ? `that takes more than ${describeDuration(lookUpMs)}` : describeCause(error);
    return [
      { level: "warning", code: "part-not-looked-up", message: `Whether the backup has ${parts.join(", ")} was not looked up: ${why}` },
    ];
  }
}
