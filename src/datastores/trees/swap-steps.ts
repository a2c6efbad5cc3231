import { lstatSync, mkdirSync, renameSync, rmdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import { runProgram } from "../../base/subprocess.ts";
import type { SwapStep } from "../contract.ts";
import { assertUnlinked, setAttributes } from "./open-place.ts";
import { decodePath, encodePath, escapePath } from "./raw-path.ts";

/*
 * A swap is a row of renames between the target and private directories ("areas", `.holdfast-<id>`) on the same file system: `aside`
 * puts what is there into an area, `carry` moves what the backup leaves out into the staged tree, `place` puts the staged copy where it
 * belongs. Each is recorded with the inode that it moves before it is made, so that what is on disk tells whether it was made:
 * the inode lies at `from` or at `to`. An area lives as long as its swap is neither rolled back nor settled; its end is the last act of
 * either, which makes both idempotent.
 */

type Recorder = (step: SwapStep) => Promise<void>;

/** Renames, recorded first. Refuses to overwrite. */
export async function moveEntry(
  move: { readonly op: "aside" | "carry" | "place"; readonly area: string; readonly from: Buffer; readonly to: Buffer },
  record: Recorder,
): Promise<void> {
  const { op, area, from, to } = move;
  await record({ op, area, from: encodePath(from), to: encodePath(to), inode: readInode(from) ?? "none" });
  if (readInode(to) !== undefined)
    throw new HoldfastError("target-in-use", `Cannot restore to ${escapePath(to)}: something has just been made there`, {
      hint: "Stop whatever writes there.",
    });
  renameSync(from, to);
}

/** Makes a directory that the target lacks, recorded first. */
export async function makeMissing(path: string, area: string, record: Recorder): Promise<void> {
  await record({ op: "mkdir", area, path });
  mkdirSync(path, 0o755);
  await syncDirectory(dirname(path));
}

/** Gives a directory that stays (a mount point, or one with other things in it) the mode and owner of its staged copy, recorded first. */
export async function copyAttributes(from: Buffer | string, to: Buffer | string, area: string, record: Recorder): Promise<void> {
  const old = lstatSync(to, { bigint: true });
  await record({
    op: "attributes",
    area,
    path: encodePath(Buffer.from(to)),
    mode: Number(old.mode & 0o7777n),
    uid: Number(old.uid),
    gid: Number(old.gid),
  });
  setAttributes(to, lstatSync(from));
}

export async function rollBackSteps(steps: readonly SwapStep[], signal: AbortSignal): Promise<void> {
  const displaced = new Set<string>();
  const areas = listAreas(steps).filter((area) => readInode(area) !== undefined);
  for (const step of steps.toReversed()) {
    const area = String(step["area"]);
    if (!areas.includes(area)) continue;
    if (undoStep(step, steps, area) === "displaced") displaced.add(area);
  }
  for (const step of steps) if (step["op"] === "aside") assertPutBack(step);
  await syncAll(steps);
  for (const area of listAreas(steps).filter((known) => !areas.includes(known))) await removeArea(area, signal);
  for (const area of areas) {
    // What an application wrote meanwhile is kept under a name that nothing else uses.
    if (displaced.has(area) || readInode(join(area, "displaced-0")) !== undefined)
      renameSync(area, join(dirname(area), `${basename(area)}-displaced`));
    else await removeArea(area, signal);
  }
  for (const step of steps.toReversed()) if (step["op"] === "mkdir") removeEmpty(String(step["path"]));
}

export async function settleSteps(steps: readonly SwapStep[], signal: AbortSignal): Promise<void> {
  for (const area of listAreas(steps)) await removeArea(area, signal);
}

/**
 * Removes a private directory with everything in it, whatever names it has. It ends at once, by a rename: half of an area would mislead a
 * roll-back that is repeated.
 */
export async function removeArea(area: string, signal: AbortSignal): Promise<void> {
  const removed = `${area}-removed`;
  if (readInode(area) !== undefined) {
    renameSync(area, removed);
    await syncDirectory(dirname(area));
  }
  if (readInode(removed) === undefined) return;
  await runProgram("rm", ["--recursive", "--force", "--one-file-system", "--", removed], {}, signal);
  await syncDirectory(dirname(area));
}

/** Makes the directories durable that the steps touch. */
export async function syncAll(steps: readonly SwapStep[]): Promise<void> {
  const directories = new Set(
    steps.flatMap((step) => ["from", "to"].flatMap((key) => (typeof step[key] === "string" ? [dirname(step[key])] : []))),
  );
  for (const directory of directories) {
    if (!directory.startsWith("/")) continue;
    await syncDirectory(directory).catch((error: unknown) => {
      if (readErrno(error) !== "ENOENT") throw error;
    });
  }
}

function listAreas(steps: readonly SwapStep[]): readonly string[] {
  return [...new Set(steps.map((step) => String(step["area"])))];
}

/** An area that still holds what was there before the restore must not go. */
function assertPutBack(step: SwapStep): void {
  const to = decodePath(String(step["to"]));
  if (readInode(to) === undefined) return;
  throw new HoldfastError("restore-stuck", `Cannot roll back the restore: ${escapePath(to)} is not what was put aside as such`, {
    hint: `If it is the right one, move it to ${escapePath(decodePath(String(step["from"])))} with the application stopped.`,
  });
}

function undoStep(step: SwapStep, steps: readonly SwapStep[], area: string): "undone" | "displaced" {
  switch (step["op"]) {
    case "attributes":
      undoAttributes(step);
      return "undone";
    case "aside":
    case "carry":
    case "place":
      return undoMove(step, steps, area);
    case "area":
    case "mkdir":
      return "undone";
    default:
      throw new HoldfastError("format-unsupported", `Cannot roll back: unknown step ${JSON.stringify(step["op"])}`);
  }
}

/** A directory that somebody has removed or replaced since has nothing to get back. */
function undoAttributes(step: SwapStep): void {
  const path = decodePath(String(step["path"]));
  assertUnlinked(path);
  try {
    setAttributes(path, { mode: Number(step["mode"]), uid: Number(step["uid"]), gid: Number(step["gid"]) });
  } catch (error) {
    if (!["ENOENT", "ENOTDIR", "ELOOP"].includes(readErrno(error) ?? "")) throw error;
  }
}

function undoMove(step: SwapStep, steps: readonly SwapStep[], area: string): "undone" | "displaced" {
  const from = decodePath(String(step["from"]));
  const to = decodePath(String(step["to"]));
  const inode = String(step["inode"]);
  if (readInode(from) === inode) return "undone"; // never made, or undone already
  for (const path of [from, to]) assertUnlinked(path);
  if (readInode(to) === inode) {
    const occupied = step["op"] !== "place" && readInode(from) !== undefined;
    if (occupied) displace(from, area);
    renameSync(to, from);
    return occupied ? "displaced" : "undone";
  }
  // What was placed has been replaced since, for example by an application that writes by rename.
  if (step["op"] !== "place" || readInode(to) === undefined || isOldAgain(step, steps)) return "undone";
  displace(to, area);
  return "displaced";
}

/** Whether an earlier roll-back, which was interrupted, has put back already what was there before. */
function isOldAgain(place: SwapStep, steps: readonly SwapStep[]): boolean {
  const inode = readInode(decodePath(String(place["to"])));
  return steps.some((step) => step["op"] === "aside" && step["from"] === place["to"] && step["inode"] === inode);
}

function displace(path: Buffer, area: string): void {
  for (let index = 0; ; index += 1) {
    const to = join(area, `displaced-${index}`);
    if (readInode(to) !== undefined) continue;
    renameSync(path, to);
    return;
  }
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    const errno = readErrno(error);
    if (errno !== "ENOENT" && errno !== "ENOTEMPTY") throw error;
  }
}

/**
 * Inode and time of birth of what lies under a name itself; undefined when nothing does. Inodes alone are used again at once; device
 * numbers may change when the machine starts again, and a rename stays on its file system anyway.
 */
export function readInode(path: Buffer | string): string | undefined {
  try {
    const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    return stat === undefined ? undefined : `${stat.ino}:${stat.birthtimeNs}`;
  } catch (error) {
    if (readErrno(error) === "ENOTDIR") return undefined;
    throw error;
  }
}
