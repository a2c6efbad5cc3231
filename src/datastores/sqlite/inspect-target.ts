import { dirname } from "node:path";
import type { Note } from "../../base/note.ts";
import type { TargetFacts } from "../contract.ts";
import { findCompanions, findFile, type FoundFile } from "./database-files.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import { findUsers } from "./find-users.ts";
import { readTargetFile } from "./target-file.ts";

/** What a restore would find now. How it replaces is decided again when it does: an application may stop or start meanwhile. */
export async function inspectTarget(configured: string, absent: boolean): Promise<TargetFacts> {
  const { path, stats } = await readTargetFile(configured);
  const companions = await findCompanions(path);
  const found = await findFile(path);
  const database = found === undefined ? [] : [found];
  const files = [...database, ...companions];
  const { pids, complete } = await findUsers(files);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const notes: Note[] = [];
  if (!complete)
    notes.push({ level: "info", code: "users-unknown", message: `Some processes could not be asked whether they have ${path} open` });
  if (stats !== undefined && stats.nlink > 1n) {
    notes.push({
      level: "warning",
      code: "hard-links",
      message: `${path} has other names (hard links); those keep the old content when the file is replaced`,
    });
  }
  return {
    summary: stats === undefined ? `${path} does not exist` : `${path}, ${describeBytes(bytes)}`,
    present: stats !== undefined,
    bytes,
    method: describeMethod(absent, pids.length > 0),
    // A live database is copied aside as well.
    neededBytes: pids.length > 0 ? 2 * bytes : bytes,
    notes,
    users: pids,
    neededAt: dirname(path),
    ...(stats === undefined ? {} : { newestChangeAtMs: findNewest(files), saveStagingBytes: bytes }),
  };
}

/** A reader touches `-shm`; writes go to the database, its WAL or its journal. */
function findNewest(files: readonly FoundFile[]): number {
  return Math.max(...files.filter(({ path }) => !path.endsWith("-shm")).map(({ changedAtMs }) => changedAtMs));
}

function describeMethod(absent: boolean, used: boolean): string {
  if (absent) return "puts the file aside";
  return used ? "writes into the live database in one transaction" : "replaces the file";
}
