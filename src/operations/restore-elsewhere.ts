import type { BackupReader } from "../archive/backup-reader.ts";
import type { ManifestMember } from "../archive/manifest.ts";
import type { Contents } from "../base/contents.ts";
import { describeCause, HoldfastError } from "../base/errors.ts";
import type { RestoreSession, TargetFacts } from "../datastores/contract.ts";

/** What the members of a restore say of where they go. */
interface Elsewhere {
  readonly members: readonly { readonly datastore: string; readonly from?: string; readonly mustBeNew?: string }[];
}

const findMember = ({ members }: Elsewhere, datastore: string) => members.find((member) => member.datastore === datastore);

/** The members under the names of what they are restored into: those that journal, pre-restore backup and result are about. */
export function nameTargets({ members }: Elsewhere, found: readonly ManifestMember[]): readonly ManifestMember[] {
  return members.flatMap(({ datastore }, index) => {
    const member = found[index];
    return member === undefined ? [] : [{ ...member, datastore }];
  });
}

/** Whether the backup is of another datastore. */
export function isForeign(setup: Elsewhere, datastore: string): boolean {
  return findMember(setup, datastore)?.from !== undefined;
}

/** @throws target-unsafe when something is there that was to be made */
export function assertNew(setup: Elsewhere, datastore: string, { present, summary }: Pick<TargetFacts, "present" | "summary">): void {
  const name = findMember(setup, datastore)?.mustBeNew;
  if (name === undefined || !present) return;
  throw new HoldfastError(
    "target-unsafe",
    `The database ${name} is there already (${summary}); a restore to database:NAME overwrites nothing`,
    {
      hint: "Choose another name, or drop it first.",
    },
  );
}

/** What does not fit another target than its own is no damage of the backup, whose hashes have all been compared for that. @throws target-unsafe */
export async function stageMember(
  setup: Elsewhere,
  backup: BackupReader,
  member: ManifestMember,
  session: RestoreSession,
  signal: AbortSignal,
): Promise<Contents> {
  const from = findMember(setup, member.datastore)?.from;
  try {
    return await session.stage(backup.readMember(member), signal);
  } catch (error) {
    if (from === undefined || !(error instanceof HoldfastError) || !error.code.startsWith("backup-")) throw error;
    throw new HoldfastError("target-unsafe", `What was saved of "${from}" does not fit "${member.datastore}": ${describeCause(error)}`, {
      cause: error,
      hint: "Choose a datastore that is made alike, or a directory: --to /PATH.",
    });
  }
}
