import { describeCause, HoldfastError } from "../base/errors.ts";
import type { JobConfig } from "../config/config.ts";
import { parseRetention } from "../retention/policy.ts";

/** A job as if its retention were an age alone, for a clean-up by hand (D9); as it is when no age is given. @throws usage */
export function overrideRetention(job: JobConfig, olderThan: string | undefined): JobConfig {
  if (olderThan === undefined) return job;
  try {
    return { ...job, retention: parseRetention({ keepWithin: olderThan }) };
  } catch (error) {
    throw new HoldfastError("usage", `"${olderThan}" is no age: ${describeCause(error)}`, {
      cause: error,
      hint: "For example 30d, 2w, 36h.",
    });
  }
}
