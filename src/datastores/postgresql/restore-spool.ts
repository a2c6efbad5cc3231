import { randomBytes } from "node:crypto";
import { chmod, chown, mkdir, open, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeBody } from "../../base/block-writer.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Identity } from "../../base/identity.ts";
import type { StoredEntry } from "../contract.ts";
import { parseConnectionUrl } from "./connection-url.ts";
import { globalsName } from "./entry-names.ts";
import { NeedsReader, type DumpNeeds } from "./needs-reader.ts";
import { createCutError, edgeBytes, readTrailer } from "./plain-edges.ts";
import type { StreamedScript } from "./restore-stream.ts";
import { unpackDirectory } from "./unpack-directory.ts";

/** A dump as it came out of the backup, in files that the account which loads it can read; or, where it has a `script`, coming. */
export interface SpooledDump {
  /** `globals`: roles and tablespaces only. */
  readonly kind: "custom" | "directory" | "plain" | "cluster" | "globals";
  readonly path: string;
  readonly name: string;
  /** The database that it was made of, where that is known. */
  readonly database: string | undefined;
  readonly bytes: number;
  /** Of a dump in SQL, where it was read on its way into the file. */
  readonly needs?: DumpNeeds;
  /** Of a large one of kind `plain` that is loaded while it is read; there is nothing at `path` then. */
  readonly script?: StreamedScript["parts"];
}

const customMark = "PGDMP";
const sqliteMark = "SQLite format 3\0";

/** A directory of ours for dumps, that `identity` can read. Whoever made the parent removes it. */
export async function makeSpoolDirectory(parent: string, identity: Identity | null): Promise<string> {
  const path = join(parent, `restore-${randomBytes(4).toString("hex")}`);
  await mkdir(path, { mode: 0o700 });
  if (identity !== null) {
    await chown(path, identity.uid, identity.gid);
    await openForSearch(parent);
  }
  return path;
}

/** An account of its own must reach a directory of ours, and lists nothing on the way. Only what is ours is opened. */
export async function openForSearch(directory: string): Promise<void> {
  for (let path = directory; path !== "/"; path = dirname(path)) {
    const { mode, uid } = await stat(path);
    if ((mode & 0o001) !== 0) continue;
    if (uid !== process.geteuid?.() || dirname(path) === "/" || dirname(path) === "/home") {
      throw new HoldfastError("target-unsafe", `the account that runs PostgreSQL's tools cannot reach ${path}`, {
        hint: `Set a staging directory that others can reach, or run \`chmod o+x ${path}\`.`,
      });
    }
    await chmod(path, (mode & 0o7777) | 0o001);
  }
}

/**
 * Writes one entry to files, whole, and looks at what it is.
 * @throws backup-incomplete for a plain dump without the line that pg_dump ends with: psql would load half of it without a word (F38)
 */
export async function spoolEntry(
  entry: StoredEntry,
  directory: string,
  identity: Identity | null,
  report: (bytes: number) => void,
  signal: AbortSignal,
): Promise<SpooledDump> {
  const path = join(directory, `dump-${randomBytes(4).toString("hex")}`);
  const base = { path, name: entry.name, database: readDatabase(entry.sourcePath), bytes: entry.bytes };
  if (entry.form === "tree") {
    await unpackDirectory(reportBytes(entry.open(signal), report), path, signal);
    await giveTo(identity, path, ...(await readdir(path)).map((name) => join(path, name)));
    return { ...base, kind: "directory" };
  }
  await using file = await open(path, "wx+", 0o600);
  const reader = new NeedsReader();
  const bytes = await writeBody(file, readSql(reportBytes(entry.open(signal), report), reader));
  await giveTo(identity, path);
  const head = Buffer.alloc(Math.min(bytes, edgeBytes));
  await file.read(head, 0, head.length, 0);
  if (head.toString("latin1", 0, 5) === customMark) return { ...base, kind: "custom" };
  if (head.toString("latin1", 0, sqliteMark.length) === sqliteMark) {
    throw new HoldfastError("target-unsafe", `${entry.name} is a SQLite export, which is no dump of pg_dump's`, {
      hint: "Set `format: sqlite` for the datastore to restore it, or take the file out with --to DIR.",
    });
  }
  const tail = Buffer.alloc(Math.min(bytes, edgeBytes));
  await file.read(tail, 0, tail.length, bytes - tail.length);
  const trailer = readTrailer(tail);
  if (trailer === undefined) throw createCutError(entry.name, "Nothing of it was loaded. Restore another backup.");
  if (trailer === "database") return { ...base, kind: "plain", needs: reader.finish() };
  return { ...base, kind: entry.name === globalsName ? "globals" : "cluster" };
}

/** Passes a dump on; has it read on the way if it is SQL of a single database. */
async function* readSql(body: AsyncIterable<Uint8Array>, reader: NeedsReader): AsyncGenerator<Uint8Array, void, undefined> {
  let isSql: boolean | undefined;
  for await (const chunk of body) {
    isSql ??= Buffer.from(chunk.subarray(0, customMark.length)).toString("latin1") !== customMark;
    if (isSql) reader.push(chunk);
    yield chunk;
  }
}

async function* reportBytes(body: AsyncIterable<Uint8Array>, report: (bytes: number) => void): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const chunk of body) {
    yield chunk;
    bytes += chunk.length;
    report(bytes);
  }
}

/** The database that an entry was made of, where that is known. */
export function readDatabase(sourcePath: string): string | undefined {
  try {
    return parseConnectionUrl(sourcePath).database;
  } catch {
    return undefined;
  }
}

async function giveTo(identity: Identity | null, ...paths: readonly string[]): Promise<void> {
  if (identity !== null) for (const path of paths) await chown(path, identity.uid, identity.gid);
}
