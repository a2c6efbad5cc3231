import { describeAge, describeBytes } from "../base/describe-amount.ts";
import type { Verdict } from "./verdict.ts";

export interface RemovalRow {
  readonly id: string;
  readonly name: string;
  readonly ageMs: number;
  /** For people: `3d`. */
  readonly age: string;
  /** Undefined where the destination could not tell. */
  readonly bytes: number | undefined;
  /** For people: `1.5 GiB`, or `?`. */
  readonly size: string;
  readonly action: "keep" | "remove";
  /** For people, joined. */
  readonly reasons: string;
}

export interface RemovalPlan {
  /** In the order of the verdicts: newest first. */
  readonly rows: readonly RemovalRow[];
  readonly keepCount: number;
  readonly removeCount: number;
  /** The sum of the known sizes of what would be removed. */
  readonly freedBytes: number;
  /** `3 of 12 backups would be removed, 1.5 GiB freed` */
  readonly summary: string;
}

/** What `prune --plan` shows. The removals themselves follow the very same verdicts, oldest first. */
export function describeVerdicts(verdicts: readonly Verdict[], sizes: ReadonlyMap<string, number>, nowMs: number): RemovalPlan {
  const rows = verdicts.map(({ id, name, createdAtMs, action, reasons }): RemovalRow => {
    const bytes = sizes.get(id);
    const size = bytes === undefined ? "?" : describeBytes(bytes);
    return {
      id,
      name,
      ageMs: nowMs - createdAtMs,
      age: describeAge(nowMs - createdAtMs),
      bytes,
      size,
      action,
      reasons: reasons.join(", "),
    };
  });
  const removed = rows.filter(({ action }) => action === "remove");
  const freedBytes = removed.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
  const atLeast = removed.some(({ bytes }) => bytes === undefined) ? "at least " : "";
  const outcome = removed.length === 0 ? "nothing would be removed" : `${removed.length} of ${rows.length} backups would be removed`;
  const summary = removed.length === 0 ? outcome : `${outcome}, ${atLeast}${describeBytes(freedBytes)} freed`;
  return { rows, keepCount: rows.length - removed.length, removeCount: removed.length, freedBytes, summary };
}
