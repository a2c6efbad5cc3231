import { statSync } from "node:fs";
import { link, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sealJson, unsealJson } from "../../src/archive/sealed-json.ts";
import { createId } from "../../src/base/ids.ts";

export interface BackupTimes {
  readonly createdAtMs: number;
  readonly sequence?: number;
}

/** Dates a backup back, as though it had been made then. `path` is the backup's; its manifest stands beside it, or in its directory. */
export async function backdateBackup(path: string, times: BackupTimes): Promise<void> {
  const manifestPath = statSync(path).isDirectory() ? join(path, "manifest.json") : `${path}.manifest.json`;
  await writeFile(
    manifestPath,
    sealAgain(await readFile(manifestPath), times, (text) => text),
  );
}

/** A further backup of one file with the same data, made at another time. */
export async function cloneBackup(folder: string, name: string, clone: string, times: BackupTimes): Promise<void> {
  const manifestName = `${name}.manifest.json`;
  for (const part of await readdir(folder))
    if (part.startsWith(name) && part !== manifestName && !part.endsWith(".events.jsonl"))
      await link(join(folder, part), join(folder, clone + part.slice(name.length)));
  const manifest = await readFile(join(folder, manifestName));
  const sealed = sealAgain(manifest, times, (text) => text.replaceAll(name, clone));
  await writeFile(join(folder, `${clone}.manifest.json`), sealed);
}

function sealAgain(sealed: Uint8Array, { createdAtMs, sequence }: BackupTimes, rename: (text: string) => string): Uint8Array {
  const manifest = JSON.parse(rename(JSON.stringify(unsealJson(sealed, "").value))) as Record<string, unknown>;
  const at = new Date(createdAtMs).toISOString();
  return sealJson({
    ...manifest,
    id: createId(createdAtMs),
    createdAt: at,
    finishedAt: at,
    sequence: sequence ?? manifest["sequence"],
    previous: null,
  });
}
