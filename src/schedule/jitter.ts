import { createHash } from "node:crypto";
import type { Schedule } from "./parse-schedule.ts";

/**
 * How much later than its slot a run starts: 0 to jitterMs, evenly spread, and always the same for the same name and slot, so a
 * restart does not move it. To spread the same job over several machines, put the machine into the name.
 */
export function jitterFor(schedule: Schedule, jobName: string, slotMs: number): number {
  if (schedule.jitterMs === 0) return 0;
  const hash = createHash("sha256").update(`${jobName}\0${slotMs}`).digest().readUInt32BE(0);
  return Math.floor((hash / 2 ** 32) * (schedule.jitterMs + 1));
}
