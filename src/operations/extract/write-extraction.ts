import { createHash, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { link, lstat, mkdir, open, readdir, rename, rm, unlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { pipeProgram } from "../../archive/convert-bytes.ts";
import { syncDirectory } from "../../base/atomic-file.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import { runProgram } from "../../base/subprocess.ts";

type OpenBytes = (signal: AbortSignal) => AsyncIterable<Uint8Array>;

export interface Written {
  readonly path: string;
  readonly bytes: number;
}

/**
 * Writes to a file that appears when it is whole and durable; mode 0600. When it throws there is none.
 * @throws refused when something has that name, unless it may be replaced
 */
export async function writeExtractedFile(
  given: string,
  body: OpenBytes,
  existing: "refuse" | "replace",
  signal: AbortSignal,
): Promise<Written & { readonly sha256: string }> {
  const path = resolve(given);
  await assertFree(path, existing);
  const hidden = createHiddenPath(path);
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    const file = await openHidden(hidden);
    try {
      for await (const chunk of body(signal)) {
        signal.throwIfAborted();
        await file.writeFile(chunk);
        hash.update(chunk);
        bytes += chunk.length;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await (existing === "replace" ? rename(hidden, path) : renameToFreeName(hidden, path));
  } catch (error) {
    await rm(hidden, { force: true });
    throw explainWriting(error, path);
  }
  await syncDirectory(dirname(path));
  return { path, bytes, sha256: hash.digest("hex") };
}

/**
 * Unpacks a tar into a directory that must be empty or not there, and appears when it is whole; mode 0700. Files belong to the caller; links
 * are made as they are.
 * @throws refused when something is in it
 */
export async function writeExtractedDirectory(given: string, tar: OpenBytes, signal: AbortSignal): Promise<Written> {
  const path = resolve(given);
  await assertEmpty(path);
  const hidden = createHiddenPath(path);
  let bytes = 0;
  const counted: OpenBytes = async function* (inner) {
    for await (const chunk of tar(inner)) {
      bytes += chunk.length;
      yield chunk;
    }
  };
  try {
    await mkdir(hidden, { mode: 0o700 });
    const args = ["--extract", "--file=-", "--blocking-factor=128", "--no-same-owner", "--no-overwrite-dir", "-C", hidden];
    for await (const _ of pipeProgram("tar", args, counted, signal)) void _;
    await runProgram("sync", ["--file-system", hidden], {}, signal);
    await rename(hidden, path);
  } catch (error) {
    await rm(hidden, { recursive: true, force: true });
    throw explainWriting(error, path);
  }
  await syncDirectory(dirname(path));
  return { path, bytes };
}

function createHiddenPath(path: string): string {
  return join(dirname(path), `.${basename(path).slice(0, 200)}.holdfast-${randomBytes(6).toString("hex")}`);
}

async function openHidden(path: string): ReturnType<typeof open> {
  return await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
}

async function assertFree(path: string, existing: "refuse" | "replace"): Promise<void> {
  const stats = await lstat(path).catch(() => undefined);
  if (stats === undefined || (existing === "replace" && stats.isFile())) return;
  throw stats.isFile()
    ? createTakenError(path)
    : new HoldfastError("refused", `${path} is there, and is no file`, { hint: "Name another file." });
}

async function assertEmpty(path: string): Promise<void> {
  try {
    const names = await readdir(path);
    if (names.length === 0) return;
    throw new HoldfastError("refused", `${path} is not empty: ${names.toSorted().slice(0, 3).join(", ")}`, {
      hint: "Name a directory that is empty or not there yet.",
    });
  } catch (error) {
    if (readErrno(error) === "ENOENT") return;
    if (readErrno(error) === "ENOTDIR")
      throw new HoldfastError("refused", `${path} is no directory`, { hint: "Name another one.", cause: error });
    throw error;
  }
}

/** Unlike a plain rename, never replaces what has come meanwhile. */
async function renameToFreeName(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const errno = readErrno(error) ?? "";
    if (errno === "EEXIST") throw createTakenError(to);
    // File systems without hard links.
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(errno)) throw error;
    await assertFree(to, "refuse");
    await rename(from, to);
    return;
  }
  await unlink(from);
}

function createTakenError(path: string): HoldfastError {
  return new HoldfastError("refused", `${path} is there already`, { hint: "Name another file, or say --force to replace it." });
}

function explainWriting(error: unknown, path: string): unknown {
  const errno = readErrno(error);
  if (error instanceof HoldfastError || errno === undefined) return error;
  if (errno === "ENOSPC" || errno === "EDQUOT")
    return new HoldfastError("no-space", `Cannot write ${path}: no space left`, { cause: error });
  if (["ENOENT", "EACCES", "EPERM", "EROFS", "ENOTDIR"].includes(errno))
    return new HoldfastError("refused", `Cannot write ${path}: ${errno}`, {
      cause: error,
      hint: "Is its directory there, and may you write to it?",
    });
  return error;
}
