import { describeCause } from "../../base/errors.ts";
import { describeHook } from "../describe-hook.ts";
import { holdPath, holdsDir, listHolds, readHold } from "./hold-record.ts";

/** Something that stands still now. */
export interface HoldStatus {
  readonly id: string;
  readonly what: string;
  readonly since: string | null;
  /** When it goes on at the latest, where all is well. */
  readonly until: string | null;
  /** Why it does not go on, and what to do; null while it is held for a copy. */
  readonly problem: string | null;
}

/** A little longer than its limit: hooks take their time. */
const graceMs = 60_000;

export function readHolds(stateDir: string, nowMs: number): readonly HoldStatus[] {
  const directory = holdsDir(stateDir);
  return listHolds(directory).flatMap((id): readonly HoldStatus[] => {
    const path = holdPath(directory, id);
    try {
      const record = readHold(directory, id);
      if (record === undefined) return [];
      const { what, sinceMs, limitMs, release, problem } = record;
      const isOverdue = nowMs - sinceMs > limitMs + graceMs;
      const byHand = `by hand: ${release.map(describeHook).join("; ")}, then remove ${path}`;
      const why = problem ?? (isOverdue ? "its time is over, and it has not been let go on yet" : undefined);
      const told =
        why === undefined
          ? null
          : `${what}, and does not go on: ${why}; Holdfast tries again by itself, at once by \`holdfast reload\`; ${byHand}`;
      return [{ id, what, since: new Date(sinceMs).toISOString(), until: new Date(sinceMs + limitMs).toISOString(), problem: told }];
    } catch (error) {
      return [{ id, what: path, since: null, until: null, problem: describeCause(error) }];
    }
  });
}
