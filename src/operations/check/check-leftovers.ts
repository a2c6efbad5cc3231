import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Settings } from "../../config/config.ts";
import { listScratches } from "../scratch/scratch-record.ts";
import { type Finding, ok, warn } from "./finding.ts";

const dayMs = 86_400_000;

/** Places to look into that nobody has recorded, or that are there beyond their time: full copies of data, too. */
export function checkScratches({ stateDir }: Settings, nowMs: number): readonly Finding[] {
  const { scratches, problems } = listScratches(stateDir);
  const over = scratches.filter(({ untilMs }) => untilMs + dayMs / 24 < nowMs);
  const remedy = "`holdfast scratch remove ID`; the daemon removes them by itself, its log says what is in the way.";
  return [
    ...problems.map((problem) => warn("scratch places", problem, "Look at it, then remove it by hand.")),
    ...over.map(({ id, backup }) => warn("scratch places", `${id} of ${backup.name} is there beyond its time`, remedy)),
    ...(problems.length + over.length > 0
      ? []
      : [ok("scratch places", scratches.length === 0 ? "none" : `${scratches.length}, each removed in its time`)]),
  ];
}

/** Staged copies that nobody removed: full copies of data, and disk that a run may need. */
export async function checkLeftovers({ stagingDir }: Settings, nowMs: number): Promise<readonly Finding[]> {
  const names = await readdir(stagingDir).catch(() => []); // made by the first run
  const old: string[] = [];
  for (const name of names) {
    const stats = await stat(join(stagingDir, name)).catch(() => undefined); // removed meanwhile
    if (stats !== undefined && nowMs - stats.mtimeMs > dayMs) old.push(name);
  }
  const what = `staging directory ${stagingDir}`;
  if (old.length === 0) return [ok(what, "holds nothing old")];
  const more = old.length > 3 ? ` and ${old.length - 3} more` : "";
  return [warn(what, `holds leftovers of more than a day: ${old.slice(0, 3).join(", ")}${more}`, "Remove them while nothing runs.")];
}
