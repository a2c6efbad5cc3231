import { rm, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { SwapStep } from "../contract.ts";
import { findCompanions, findFile, type FoundFile } from "./database-files.ts";
import type { Identity } from "../../base/identity.ts";
import { prefixError } from "../../base/prefix-error.ts";
import { judgeOverwrite } from "./judge-overwrite.ts";
import { removeDatabase } from "./remove-database.ts";
import { renameToFreeName } from "./replace-file.ts";
import { runChild } from "./run-child.ts";
import { parseStep, type MoveStep, type OverwriteStep, type PlaceStep, type ReplaceTablesStep, type SqliteStep } from "./swap-steps.ts";

const busyTimeoutMs = 10_000;

/**
 * Undoes a swap, last step first. Each step may or may not have happened, and may have been undone already: what is on disk decides,
 * by inode. Throws `restore-stuck` when something else has taken a name that is needed.
 */
export async function rollBackSwap(steps: readonly SwapStep[], signal: AbortSignal): Promise<void> {
  const known = steps.map(parseStep);
  for (const step of known.toReversed()) {
    try {
      await undoStep(step, known, signal);
    } catch (error) {
      throw prefixError("Cannot roll back the restore", error);
    }
  }
  for (const step of known) {
    // Put back is what is no longer aside; nothing else may be said of data that is not where it was.
    if (step.op !== "move" || (await findFile(step.to)) === undefined) continue;
    throw new HoldfastError("restore-stuck", `Cannot roll back the restore: ${step.to} is not the file that was put aside as such`, {
      hint: `If it is the right one, rename it to ${step.from} with the application stopped.`,
    });
  }
}

async function undoStep(step: SqliteStep, steps: readonly SqliteStep[], signal: AbortSignal): Promise<void> {
  switch (step.op) {
    case "place":
      return undoPlace(step, steps);
    case "move":
      return undoMove(step);
    case "overwrite":
      return undoOverwrite(step, steps, signal);
    case "overwritten":
      return;
    case "replace-tables":
      return returnFormer(step, signal);
    case "copy-aside":
      return removeDatabase(step.aside);
    case "stage":
      return removeDatabase(step.path);
  }
}

/** The restored file goes last: while it is there, what lies beside it is its own, and the work is not done. */
async function undoPlace(step: PlaceStep, steps: readonly SqliteStep[]): Promise<void> {
  const found = await findFile(step.to);
  if (found !== undefined && isFile(found, step)) {
    const own = (await findCompanions(step.to)).filter((file) => !steps.some((other) => other.op === "move" && isFile(file, other)));
    for (const file of own) await rm(file.path, { force: true });
    await unlink(step.to);
    await syncDirectory(dirname(step.to));
  }
  const staged = await findFile(step.from);
  if (staged !== undefined && isFile(staged, step)) await unlink(step.from);
}

async function undoMove(step: MoveStep): Promise<void> {
  const aside = await findFile(step.to);
  if (aside === undefined || !isFile(aside, step)) return;
  const present = await findFile(step.from);
  if (present !== undefined && isFile(present, step)) {
    // Stopped between the two halves of a rename.
    await unlink(step.to);
  } else {
    if (present !== undefined) {
      throw new HoldfastError("restore-stuck", `another program has created ${step.from}; what was there before is ${step.to}`, {
        hint: `Stop the application, move ${step.from} away, then repeat the rollback.`,
      });
    }
    await renameToFreeName(step.to, step.from);
  }
  await syncDirectory(dirname(step.from));
}

/**
 * A schema cookie that is the same tells that the overwrite was not committed; one that is not, where nobody could note the commit, may be
 * the application's doing: then the content decides. The copy is removed once it has been written back, so that a second rollback does not
 * take away what the application has written since.
 */
async function undoOverwrite(step: OverwriteStep, steps: readonly SqliteStep[], signal: AbortSignal): Promise<void> {
  if ((await findFile(step.aside)) === undefined) return;
  const identity = readIdentity(step);
  const cookie = await runChild({ op: "read-cookie", path: step.path, busyTimeoutMs }, { identity }, signal);
  if (cookie !== step.cookie && (await isOverwritten(step, steps, identity, signal)))
    await runChild({ op: "overwrite", path: step.path, copy: step.aside, busyTimeoutMs }, { identity }, signal);
  await removeDatabase(step.aside);
}

async function isOverwritten(
  { path, aside, staged }: OverwriteStep,
  steps: readonly SqliteStep[],
  identity: Identity | null,
  signal: AbortSignal,
): Promise<boolean> {
  if (steps.some((step) => step.op === "overwritten" && step.aside === aside)) return true;
  // It is removed when the commit has been noted; journals of older versions note neither.
  if (staged === undefined || (await findFile(staged)) === undefined) return true;
  return (await judgeOverwrite({ path, former: aside, staged, identity, busyTimeoutMs }, signal)) === "restored";
}

/** Who opens the database. */
function readIdentity({ uid, gid, user }: Pick<OverwriteStep, "uid" | "gid" | "user">): Identity | null {
  return uid === null || gid === null ? null : { uid, gid, user };
}

/** The file aside says whether the transaction was committed. It goes once its tables are back, so that a second rollback changes nothing. */
async function returnFormer(step: ReplaceTablesStep, signal: AbortSignal): Promise<void> {
  if ((await findFile(step.aside)) !== undefined) {
    const tables = JSON.parse(step.tables) as string[];
    const { path, aside } = step;
    await runChild({ op: "return-tables", path, aside, tables, busyTimeoutMs }, { identity: readIdentity(step) }, signal);
  }
  await removeDatabase(step.aside);
}

/** Removes what a finished swap put aside. */
export async function settleSwap(steps: readonly SwapStep[]): Promise<void> {
  const directories = new Set<string>();
  for (const step of steps.map(parseStep)) {
    if (step.op === "overwrite" || step.op === "overwritten") continue;
    if (step.op === "stage") {
      await removeDatabase(step.path);
      continue;
    }
    const leftover = step.op === "copy-aside" || step.op === "replace-tables" ? step.aside : step.op === "move" ? step.to : step.from;
    if (step.op === "copy-aside" || step.op === "replace-tables") await removeDatabase(leftover);
    else {
      const found = await findFile(leftover);
      if (found !== undefined && isFile(found, step)) await unlink(leftover);
    }
    directories.add(dirname(leftover));
  }
  for (const directory of directories) if ((await findFile(directory)) !== undefined) await syncDirectory(directory);
}

function isFile(found: FoundFile, step: MoveStep | PlaceStep): boolean {
  return found.ino === step.ino && found.birth === step.birth;
}
