import { createHash } from "node:crypto";
import { closeSync, readdirSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectory, syncDirectory, writeFileAtomically } from "../../base/atomic-file.ts";
import { describeCause, HoldfastError, readErrno } from "../../base/errors.ts";
import type { Hook, StateQuestion } from "../../config/config.ts";
import { flockDescriptors } from "../../queue/flock-descriptors.ts";
import { openLockFile } from "../../queue/locks.ts";

/**
 * Something that stands still, on disk from before the first hook is run until it goes on again: whoever finds the record and gets its lock
 * has to let it go. `engaging`: its hooks may be running still. One for each service: the id is made of its key.
 */
export interface HoldRecord {
  readonly version: 1;
  readonly id: string;
  readonly what: string;
  readonly state: "engaging" | "held";
  readonly manner: "stopped" | "paused";
  /** When it was made to stand still, by the wall clock. */
  readonly sinceMs: number;
  readonly limitMs: number;
  /** Secrets in their variables are `***`: what runs one from here takes the values from the config. */
  readonly engage: readonly Hook[];
  readonly release: readonly Hook[];
  readonly ask?: StateQuestion;
  /** Why it could not be let go. */
  readonly problem?: string;
}

const suffix = ".json";

/** Where a daemon's holds are written down. */
export function holdsDir(stateDir: string): string {
  return join(stateDir, "holds");
}

/** Two orders with one key are about the same service. */
export function createHoldId(key: string): string {
  return createHash("sha256").update(key).digest("hex").slice(0, 16);
}

export function holdPath(directory: string, id: string): string {
  return join(directory, id + suffix);
}

/** Durable when it returns. */
export async function writeHold(directory: string, record: HoldRecord): Promise<void> {
  await makeDirectory(directory, 0o700);
  await writeFileAtomically(holdPath(directory, record.id), `${JSON.stringify(record, undefined, 2)}\n`, 0o600);
}

export async function removeHold(directory: string, id: string): Promise<void> {
  await rm(holdPath(directory, id), { force: true });
  await syncDirectory(directory);
}

/** Undefined when there is none. @throws state-corrupt */
export function readHold(directory: string, id: string): HoldRecord | undefined {
  const path = holdPath(directory, id);
  try {
    const record = JSON.parse(readFileSync(path, "utf8")) as HoldRecord;
    if (record.version === 1 && Array.isArray(record.release)) return record;
    throw new Error("it was written by another version");
  } catch (error) {
    if (readErrno(error) === "ENOENT") return undefined;
    throw new HoldfastError("state-corrupt", `The record ${path} of what stands still cannot be read: ${describeCause(error)}`, {
      cause: error,
      hint: "Look into it, start by hand what it names, then remove it.",
    });
  }
}

/** The ids of what stands still. */
export function listHolds(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith(suffix) && !name.startsWith("."))
      .map((name) => name.slice(0, -suffix.length))
      .toSorted();
  } catch (error) {
    if (readErrno(error) === "ENOENT") return [];
    throw error;
  }
}

/** The right to hold a service, and to let go what is on record of it; the kernel frees it. Undefined when somebody else has it. */
export async function lockHold(directory: string, id: string, signal: AbortSignal): Promise<Disposable | undefined> {
  await makeDirectory(directory, 0o700);
  const fd = openLockFile(directory, `${id}.lock`);
  let isOurs = false;
  try {
    isOurs = (await flockDescriptors([{ descriptor: fd, mode: "exclusive" }], signal)) === undefined;
  } finally {
    if (!isOurs) closeSync(fd);
  }
  return isOurs ? { [Symbol.dispose]: () => closeSync(fd) } : undefined;
}
