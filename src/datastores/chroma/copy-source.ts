import { chmod, chown, lstat, mkdir, readdir, rename, rm, utimes } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { HoldfastError } from "../../base/errors.ts";
import { resolveIdentity } from "../../base/identity.ts";
import type { Note } from "../../base/note.ts";
import { createAbortError, runProgram } from "../../base/subprocess.ts";
import type { Copying, DriverContext } from "../contract.ts";
import { isSameFile } from "../sqlite-files/source-file.ts";
import { makeOwnedDirectory, takeOver } from "../sqlite-files/staging.ts";
import { explainSpace } from "../trees/explain-fault.ts";
import { restoreAreaName } from "../trees/survey-tree.ts";
import { type DataDirectory, databaseCompanions, databaseName } from "./data-directory.ts";
import { findLink, type IndexState, readIndexState } from "./index-files.ts";
import { runChild } from "./run-child.ts";

/** How the database waits for its writers, and they for it; the server's own limit is 5 s. */
const pace = { busyTimeoutMs: 10_000, maxHoldMs: 4_000, maxDurationMs: 30 * 60_000 };
/** An index whose files have not been touched for so long is not being flushed: the files are written one right after the other. */
const quietMs = 300;
/** How long such a pause is waited for, each time. */
const quietWaitMs = 5_000;
const maxTries = 12;

/** Copies a data directory into a new directory `copy`, with owners, rights and times. */
export async function copySource(
  source: DataDirectory,
  copy: string,
  context: Pick<DriverContext, "stagingDir" | "progress"> & { readonly copying: Copying },
  signal: AbortSignal,
): Promise<readonly Note[]> {
  const link = await findLink(source.root);
  if (link !== undefined)
    throw new HoldfastError(
      "source-unreadable",
      `${join(source.root, link)} is a link, and a copy of the directory would lack what it leads to`,
      {
        hint: "Move the index back into the directory; a file system for all of the directory can be mounted on it.",
      },
    );
  await mkdir(copy, { mode: 0o700 });
  const notes = context.copying === "live" ? await copyLive(source, copy, context, signal) : await copyStill(source, copy, signal);
  await copyRootAttributes(source.root, copy);
  return notes;
}

/** Nobody writes: the whole directory as it is, with the journal of a transaction that was cut off. */
async function copyStill({ root }: DataDirectory, copy: string, signal: AbortSignal): Promise<readonly Note[]> {
  await copyEntries(root, copy, () => true, signal);
  return [];
}

/**
 * The server works on. The database comes first, by SQLite's backup API, then the indexes: what the database takes for flushed is then in
 * them. The other way round, a flush between the two copies would take records out of the log that are not in the copied index, and nobody
 * would notice but by a query. When an index was flushed meanwhile, both are copied again; on a server that flushes all the time the
 * indexes alone, until nothing moves.
 */
async function copyLive(
  source: DataDirectory,
  copy: string,
  context: Pick<DriverContext, "stagingDir" | "progress">,
  signal: AbortSignal,
): Promise<readonly Note[]> {
  let notes: readonly Note[] = [];
  for (let attempt = 1; attempt <= maxTries; attempt += 1) {
    const before = await waitForQuiet(source.root, signal);
    notes = await copyDatabase(source, copy, context, signal);
    const flushed = await readCopiedPositions(copy, signal);
    const complete = await copyIndexes(source.root, copy, signal);
    const after = await readIndexState(source.root);
    context.progress({ phase: "copying", bytes: after.bytes });
    if (!complete || before === undefined || before.fingerprint !== after.fingerprint) continue;
    if (flushed === (await readLivePositions(source, signal))) return notes;
  }
  if (await copyIndexesUntilStill(source, copy, signal))
    return [
      ...notes,
      {
        level: "info",
        code: "indexes-later",
        message: `The indexes were flushed during each of ${maxTries} copies; they hold all that the database holds, and may hold changes that are later by moments`,
      },
    ];
  throw new HoldfastError(
    "source-changed",
    `the indexes in ${source.root} were written to during each of ${maxTries * 2} attempts to copy them`,
    {
      hint: "Set `copy: paused` and `service`, so that the server stands still for the copy, or back up when it has less to do.",
    },
  );
}

async function copyIndexesUntilStill(source: DataDirectory, copy: string, signal: AbortSignal): Promise<boolean> {
  for (let attempt = 1; attempt <= maxTries; attempt += 1) {
    const before = await waitForQuiet(source.root, signal);
    const positions = await readLivePositions(source, signal);
    const complete = await copyIndexes(source.root, copy, signal);
    const { fingerprint } = await readIndexState(source.root);
    if (complete && before?.fingerprint === fingerprint && positions === (await readLivePositions(source, signal))) return true;
  }
  return false;
}

/** Undefined when the indexes were written to all the time. */
async function waitForQuiet(root: string, signal: AbortSignal): Promise<IndexState | undefined> {
  const deadlineAt = performance.now() + quietWaitMs;
  for (;;) {
    const state = await readIndexState(root);
    const ageMs = Date.now() - state.newestChangeAtMs;
    // A clock that was put back must not make us wait for ever.
    if (ageMs >= quietMs || ageMs < -quietMs) return state;
    if (performance.now() > deadlineAt) return undefined;
    await pause(quietMs - ageMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) throw createAbortError(signal, "the copy was stopped");
  }
}

async function copyDatabase(
  { root, database }: DataDirectory,
  copy: string,
  { stagingDir, progress }: Pick<DriverContext, "stagingDir" | "progress">,
  signal: AbortSignal,
): Promise<readonly Note[]> {
  const identity = await resolveIdentity(undefined, database.attributes, signal);
  const directory = await makeOwnedDirectory(stagingDir, identity);
  try {
    const made = join(directory, "copy.db");
    const notes = await runChild({ op: "copy", path: database.realPath, copy: made, ...pace }, { identity, progress }, signal);
    if (!(await isSameFile(join(root, databaseName), database)))
      throw new HoldfastError("source-changed", `${databaseName} was replaced by another file while it was copied`);
    const taken = await takeOver(made, stagingDir, identity);
    const place = join(copy, databaseName);
    await rename(taken.path, place);
    const { uid, gid, mode, mtimeNs } = database.attributes;
    await chown(place, uid, gid);
    await chmod(place, mode);
    const at = BigInt(mtimeNs);
    const date = `@${at / 1_000_000_000n}.${String(at % 1_000_000_000n).padStart(9, "0")}`;
    await runProgram("touch", ["--no-dereference", `--date=${date}`, "--", place], {}, signal);
    return notes;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Everything else. False when something went away or changed its kind meanwhile. */
async function copyIndexes(root: string, copy: string, signal: AbortSignal): Promise<boolean> {
  for (const name of await readdir(copy)) if (name !== databaseName) await rm(join(copy, name), { recursive: true, force: true });
  const ours = new Set([databaseName, ...databaseCompanions]);
  try {
    await copyEntries(root, copy, (name) => !ours.has(name), signal);
    return true;
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "tool-failed" && /No such file or directory/.test(error.message)) return false;
    throw error;
  }
}

async function copyEntries(root: string, copy: string, takes: (name: string) => boolean, signal: AbortSignal): Promise<void> {
  const names = (await readdir(root)).filter((name) => takes(name) && !restoreAreaName.test(name));
  if (names.length === 0) return;
  const places = names.map((name) => join(root, name));
  try {
    await runProgram("cp", ["--archive", "--reflink=auto", "--one-file-system", "--target-directory", copy, "--", ...places], {}, signal);
  } catch (error) {
    throw explainSpace(error, `Cannot copy ${root}`);
  }
}

async function copyRootAttributes(root: string, copy: string): Promise<void> {
  const { uid, gid, mode, atime, mtime } = await lstat(root);
  await chown(copy, uid, gid);
  await chmod(copy, mode & 0o7777);
  await utimes(copy, atime, mtime);
}

async function readCopiedPositions(copy: string, signal: AbortSignal): Promise<string> {
  const path = join(copy, databaseName);
  const read = await runChild({ op: "positions", path, busyTimeoutMs: pace.busyTimeoutMs }, { identity: null }, signal);
  return describePositions(read);
}

/** As the database's owner: it is the live one. */
async function readLivePositions({ database }: DataDirectory, signal: AbortSignal): Promise<string> {
  const identity = await resolveIdentity(undefined, database.attributes, signal);
  const read = await runChild({ op: "positions", path: database.realPath, busyTimeoutMs: pace.busyTimeoutMs }, { identity }, signal);
  return describePositions(read);
}

const describePositions = (positions: Readonly<Record<string, number>>): string =>
  Object.entries(positions)
    .map(([segment, position]) => `${segment} ${position}`)
    .sort()
    .join("\n");
