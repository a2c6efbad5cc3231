import type { Identity } from "../../base/identity.ts";

// Missing from the types of Node 26.
const { initgroups } = process as { readonly initgroups?: (user: string, gid: number) => void };

/** Becomes this user for good: groups first, the uid last. */
export function becomeIdentity(identity: Identity): void {
  if (identity.user === null) process.setgroups?.([identity.gid]);
  else initgroups?.(identity.user, identity.gid);
  process.setgid?.(identity.gid);
  process.setuid?.(identity.uid);
}
