import { HoldfastError } from "../base/errors.ts";

export interface DeletionPlan {
  /** Why a backup should not be removed even on purpose; empty when nothing speaks against it. */
  readonly refusals: readonly string[];
  /** What would let it go; null when nothing keeps it. */
  readonly hint: string | null;
}

/** @param reasons each with what takes it away */
export function describeDeletion(reasons: readonly { readonly refusal: string; readonly remedy: string }[]): DeletionPlan {
  const remedies = [...new Set(reasons.map(({ remedy }) => remedy))].join(" and ");
  return {
    refusals: reasons.map(({ refusal }) => refusal),
    hint: remedies === "" ? null : `${remedies.slice(0, 1).toUpperCase()}${remedies.slice(1)}, or say --force.`,
  };
}

export function createStaysError({ name }: { readonly name: string }, { refusals, hint }: DeletionPlan): HoldfastError {
  return new HoldfastError("refused", `The backup ${name} stays: ${refusals.join("; ")}`, hint === null ? {} : { hint });
}
