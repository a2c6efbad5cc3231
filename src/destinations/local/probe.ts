import type { Stats } from "node:fs";
import { access, constants, open, statfs, unlink } from "node:fs/promises";
import { join } from "node:path";
import { describeCause, HoldfastError, readErrno } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import type { DestinationFacts } from "../contract.ts";
import { requireMarker } from "./marker.ts";
import { createProbeName } from "./names.ts";
import type { Place } from "./place.ts";
import { walkVisible } from "./walk.ts";

/** How much of a destination is looked at for modes and owners. */
const maximumEntries = 10_000;
const namedEntries = 3;
/** A backup needs few inodes, but a file system that has no more than these is about to fail. */
const fewInodes = 1_000;

export async function probePlace(place: Place, signal: AbortSignal): Promise<DestinationFacts> {
  const root = await place.requireRoot();
  const space = await place.attempt("ask for the free space", () => statfs(place.root));
  const notes: Note[] = [];
  const marked = await isMarked(place, notes);
  const writable = await isWritable(place, marked, notes);
  if (space.files > 0 && space.ffree < fewInodes) {
    notes.push({
      level: "warning",
      code: "low-inodes",
      message: `The file system of ${place.root} has ${space.ffree} of ${space.files} inodes left`,
    });
  }
  notes.push(...(await inspectModes(place, root, signal)));
  return {
    summary: place.root,
    freeBytes: space.bavail * space.bsize,
    totalBytes: space.blocks * space.bsize,
    device: root.dev,
    marked,
    writable,
    notes,
  };
}

async function isMarked(place: Place, notes: Note[]): Promise<boolean> {
  try {
    await requireMarker(place);
    return true;
  } catch (error) {
    if (!(error instanceof HoldfastError) || (error.code !== "destination-unmarked" && error.code !== "destination-foreign")) throw error;
    notes.push({ level: "warning", code: error.code, message: `${error.message}. ${error.hint ?? ""}`.trim() });
    return false;
  }
}

/** Writes a byte where that is allowed; without a marker only asks. */
async function isWritable(place: Place, marked: boolean, notes: Note[]): Promise<boolean> {
  try {
    await (marked ? writeProbe(join(place.root, createProbeName())) : access(place.root, constants.W_OK | constants.X_OK));
    return true;
  } catch (error) {
    const errno = readErrno(error) ?? "";
    const full = ["ENOSPC", "EDQUOT"].includes(errno);
    notes.push({
      level: "warning",
      code: full ? "no-space" : "not-writable",
      message: `Cannot write to ${place.describe()}: ${describeCause(error)}`,
    });
    return false;
  }
}

async function writeProbe(path: string): Promise<void> {
  await using file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    await file.write(Buffer.of(0));
  } finally {
    await unlink(path);
  }
}

async function inspectModes(place: Place, root: Stats, signal: AbortSignal): Promise<readonly Note[]> {
  const { directoryMode, fileMode, owner } = place.settings;
  const wider: string[] = [];
  const foreign: string[] = [];
  const uid = owner?.uid ?? process.geteuid?.();
  const inspect = (name: string, stats: Stats): void => {
    if (!stats.isFile() && !stats.isDirectory()) return;
    const declared = stats.isDirectory() ? directoryMode : fileMode;
    const mode = stats.mode & 0o7777;
    if ((mode & 0o777 & ~declared) !== 0) wider.push(`${name} ${mode.toString(8).padStart(4, "0")}`);
    if (uid !== undefined && (stats.uid !== uid || (owner !== undefined && stats.gid !== owner.gid)))
      foreign.push(`${name} ${stats.uid}:${stats.gid}`);
  };
  inspect(place.root, root);
  let entries = 0;
  for await (const { key, stats } of walkVisible(place, "", signal)) {
    if ((entries += 1) > maximumEntries) break;
    inspect(key, stats);
  }
  const notes: Note[] = [];
  if (wider.length > 0) notes.push({ level: "warning", code: "mode-wider", message: `Modes wider than declared: ${describeSome(wider)}` });
  if (foreign.length > 0)
    notes.push({ level: "warning", code: "owner-differs", message: `Not owned as declared: ${describeSome(foreign)}` });
  return notes;
}

function describeSome(entries: readonly string[]): string {
  const named = entries.slice(0, namedEntries).map((entry) => entry.replaceAll(/\p{Cc}/gu, "?"));
  return entries.length > namedEntries ? `${named.join(", ")} and ${entries.length - namedEntries} more` : named.join(", ");
}
