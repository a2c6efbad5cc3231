import { describeCause, HoldfastError } from "../../base/errors.ts";
import type { Finding } from "./finding.ts";

/** A probe that threw. */
export function findingOfError(level: "warn" | "fail", what: string, error: unknown): Finding {
  const hint = error instanceof HoldfastError ? error.hint : undefined;
  return { level, what, detail: describeCause(error), ...(hint === undefined ? {} : { hint }) };
}
