import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Settings } from "../../config/config.ts";
import { type Finding, ok, warn } from "./finding.ts";

const dayMs = 86_400_000;

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
