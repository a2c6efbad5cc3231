import type { Config } from "../../config/config.ts";
import { type Finding, warn } from "./finding.ts";

/** A config that protects nothing is valid, and easily taken for one that does. */
export function checkJobs({ jobs }: Config): readonly Finding[] {
  if (jobs.size === 0)
    return [
      warn("jobs", "there is no job: nothing is backed up", "Say under `datastores` what to protect, and under `jobs` when and to where."),
    ];
  if (![...jobs.values()].some(({ enabled }) => enabled))
    return [warn("jobs", "no job is enabled: nothing is backed up", "Take `enabled: false` out of one.")];
  return [];
}
