import { HoldfastError } from "./errors.ts";
import { runProgram } from "./subprocess.ts";

/** A user to act as. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** For the supplementary groups; null when the uid has no entry in the user database. */
  readonly user: string | null;
}

/**
 * Who opens a live database: `runAs`, else the owner of the file. Null: as we are, because we are that user, or not root and cannot change.
 * Throws `config-invalid` for a `runAs` that does not exist or that we may not become.
 */
export async function resolveIdentity(
  runAs: string | number | undefined,
  owner: { readonly uid: number; readonly gid: number },
  signal: AbortSignal,
): Promise<Identity | null> {
  const ownUid = process.geteuid?.() ?? 0;
  if (runAs === undefined && (ownUid !== 0 || owner.uid === ownUid)) return null;
  const wanted = await findUser(runAs ?? owner.uid, signal);
  if (wanted === undefined && typeof runAs === "string") throw new HoldfastError("config-invalid", `runAs: there is no user "${runAs}"`);
  const identity = wanted ?? { uid: Number(runAs ?? owner.uid), gid: owner.gid, user: null };
  if (identity.uid === ownUid) return null;
  if (ownUid !== 0)
    throw new HoldfastError("config-invalid", `runAs: only root can act as "${runAs}"`, {
      hint: "Run the service as root, or remove runAs.",
    });
  return identity;
}

async function findUser(nameOrUid: string | number, signal: AbortSignal): Promise<Identity | undefined> {
  // getent exits with 2 when there is no such entry.
  const { stdout } = await runProgram("getent", ["passwd", "--", String(nameOrUid)], { accept: [0, 2], timeoutMs: 10_000 }, signal);
  const [user, , uid, gid] = stdout.trim().split(":");
  if (user === undefined || uid === undefined || gid === undefined) return undefined;
  return { user, uid: Number(uid), gid: Number(gid) };
}
