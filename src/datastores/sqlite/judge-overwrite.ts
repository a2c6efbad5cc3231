import { open, type FileHandle } from "node:fs/promises";
import { HoldfastError } from "../../base/errors.ts";
import type { Identity } from "../../base/identity.ts";
import { removeDatabase } from "./remove-database.ts";
import { runChild } from "./run-child.ts";

const blockBytes = 1 << 20;
/** What precedes the schema on the first page changes with every write. */
const headerBytes = 100;
/** Of what differs between the two, so many times more must be as in one of them than as in the other. */
const clearFactor = 4;

export interface DoubtfulOverwrite {
  readonly path: string;
  /** What was there before. */
  readonly former: string;
  /** What was to be written. */
  readonly staged: string;
  readonly identity: Identity | null;
  readonly busyTimeoutMs: number;
}

/**
 * Which of the two a live database goes back to, when its schema has changed and nobody could note whether it was overwritten: wherever
 * they differ it is compared with both. Whoever has written to it since has changed little of it.
 * @throws restore-stuck where it is like neither of them
 */
export async function judgeOverwrite(overwrite: DoubtfulOverwrite, signal: AbortSignal): Promise<"former" | "restored"> {
  const { path, former, staged, identity, busyTimeoutMs } = overwrite;
  const present = `${former}-present`;
  await removeDatabase(present);
  try {
    const limits = { busyTimeoutMs, maxHoldMs: 60_000, maxDurationMs: 3_600_000 };
    await runChild({ op: "snapshot", path, copy: present, ...limits, integrity: "quick", countRows: [] }, { identity }, signal);
    const like = await compareFiles({ present, former, staged }, signal);
    if (like.former + like.staged === 0 && !like.differ) return "former";
    if (like.former > like.staged * clearFactor) return "former";
    if (like.staged > like.former * clearFactor) return "restored";
  } finally {
    await removeDatabase(present);
  }
  throw new HoldfastError("restore-stuck", `it cannot be told whether ${path} was overwritten: it has been changed since`, {
    hint: `Look into it with the application stopped. If it holds what was there before the restore, remove ${former}; else copy what is worth keeping out of it and put ${former} in its place. Then run \`holdfast reload\`.`,
  });
}

interface Likeness {
  /** Bytes that are as in that one and not as in the other. */
  former: number;
  staged: number;
  /** Whether the two differ at all. */
  differ: boolean;
}

async function compareFiles(
  paths: { readonly present: string; readonly former: string; readonly staged: string },
  signal: AbortSignal,
): Promise<Likeness> {
  await using present = await open(paths.present);
  await using former = await open(paths.former);
  await using staged = await open(paths.staged);
  const like: Likeness = { former: 0, staged: 0, differ: false };
  const { size } = await present.stat();
  for (let at = headerBytes; at < size; at += blockBytes) {
    signal.throwIfAborted();
    const [now, before, after] = await Promise.all([present, former, staged].map((file) => readBlock(file, at)));
    if (now !== undefined && before !== undefined && after !== undefined) countLike(like, now, before, after);
  }
  like.differ ||= (await former.stat()).size !== (await staged.stat()).size;
  return like;
}

/** What is not there is in no other. */
function countLike(like: Likeness, now: Buffer, before: Buffer, after: Buffer): void {
  if (before.equals(after)) return;
  like.differ = true;
  for (let place = 0; place < now.length; place += 1) {
    if (before[place] === after[place]) continue;
    // Zero is what unused space is made of.
    if (now[place] === 0) continue;
    if (now[place] === before[place]) like.former += 1;
    else if (now[place] === after[place]) like.staged += 1;
  }
}

async function readBlock(file: FileHandle, at: number): Promise<Buffer> {
  const block = Buffer.alloc(blockBytes);
  let bytes = 0;
  for (;;) {
    const { bytesRead } = await file.read(block, bytes, block.length - bytes, at + bytes);
    bytes += bytesRead;
    if (bytesRead === 0 || bytes === block.length) return block.subarray(0, bytes);
  }
}
