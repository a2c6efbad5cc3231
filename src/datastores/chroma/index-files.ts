import { lstat, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import type { CollectionFacts } from "./catalog.ts";
import { databaseCompanions, databaseName } from "./data-directory.ts";

const segmentName = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What tells whether any index was written to: names, inodes, sizes and times of all files of all segments. */
export interface IndexState {
  readonly fingerprint: string;
  /** The newest change of a file or directory; 0 where there is none. */
  readonly newestChangeAtMs: number;
  readonly bytes: number;
}

/** Looks at the segments of a live directory; what goes away meanwhile is passed over. */
export async function readIndexState(root: string): Promise<IndexState> {
  const lines: string[] = [];
  let newestNs = 0n;
  let bytes = 0;
  for (const segment of (await readdir(root)).filter((name) => segmentName.test(name)).sort()) {
    for (const name of ["", ...(await listNames(join(root, segment)))]) {
      const stats = await lstat(join(root, segment, name), { bigint: true }).catch(passGone);
      if (stats === undefined) continue;
      if (stats.ctimeNs > newestNs) newestNs = stats.ctimeNs;
      if (name !== "") bytes += Number(stats.size);
      lines.push([segment, name, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(" "));
    }
  }
  return { fingerprint: lines.join("\n"), newestChangeAtMs: Number(newestNs / 1_000_000n), bytes };
}

async function listNames(directory: string): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).toSorted();
  } catch (error) {
    passGone(error);
    return [];
  }
}

function passGone(error: unknown): undefined {
  if (readErrno(error) !== "ENOENT" && readErrno(error) !== "ENOTDIR") throw error;
}

/**
 * The first link among the database and the index files: a copy would hold the link alone, and whoever opened the copy would work on what it
 * leads to. Other links in the directory are nothing that a server reads.
 */
export async function findLink(root: string): Promise<string | undefined> {
  for (const name of (await readdir(root)).toSorted()) {
    if (!segmentName.test(name) && name !== databaseName && !databaseCompanions.includes(name)) continue;
    for (const each of [name, ...(await listNames(join(root, name))).map((file) => join(name, file))])
      if ((await lstat(join(root, each)).catch(passGone))?.isSymbolicLink() === true) return each;
  }
  return undefined;
}

const headerBytes = 100;

/**
 * Of the indexes that the database says are on disk: that each is there, and as long as its own header says. That is what a server does
 * not look at: it answers without the vectors that are missing.
 * @returns one line for each fault
 */
export async function findIndexFaults(root: string, collections: readonly CollectionFacts[]): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const { name, vectorSegment, flushedTo } of collections) {
    if (vectorSegment === null || flushedTo === null || flushedTo <= 0) continue;
    if (!segmentName.test(vectorSegment))
      throw new HoldfastError("source-corrupt", `collection "${name}" has a segment of an unknown form`);
    const fault = await findFault(join(root, vectorSegment));
    if (fault !== undefined) faults.push(`the index of collection "${name}" (${vectorSegment}) ${fault}`);
  }
  return faults;
}

async function findFault(segment: string): Promise<string | undefined> {
  const sizes = new Map<string, number>();
  for (const name of ["header.bin", "data_level0.bin", "length.bin", "link_lists.bin", "index_metadata.pickle"]) {
    const stats = await stat(join(segment, name)).catch(passGone);
    if (stats === undefined) return `has no ${name}`;
    sizes.set(name, stats.size);
  }
  const header = await readHeader(join(segment, "header.bin"));
  if (header.length < headerBytes) return "has a header.bin that is cut short";
  if (header.readUInt32LE(0) !== 1) return undefined; // a later form, whose fields are not known
  const [elements, elementBytes] = [Number(header.readBigUInt64LE(20)), Number(header.readBigUInt64LE(28))];
  for (const [name, wanted] of [
    ["data_level0.bin", elements * elementBytes],
    ["length.bin", elements * 4],
  ] as const)
    if ((sizes.get(name) ?? 0) < wanted) return `has a ${name} of ${sizes.get(name)} bytes, where its header tells ${wanted}`;
  return sizes.get("index_metadata.pickle") === 0 ? "has an empty index_metadata.pickle" : undefined;
}

async function readHeader(path: string): Promise<Buffer> {
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
