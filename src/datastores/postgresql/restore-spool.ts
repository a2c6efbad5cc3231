import { randomBytes } from "node:crypto";
import { chmod, chown, lstat, mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeBody } from "../../base/block-writer.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Identity } from "../../base/identity.ts";
import { openProgram } from "../../base/subprocess.ts";
import type { StoredEntry } from "../contract.ts";
import { parseConnectionUrl } from "./connection-url.ts";
import { globalsName } from "./entry-names.ts";
import { NeedsReader, type DumpNeeds } from "./needs-reader.ts";

/** A dump as it came out of the backup, in files that the account which loads it can read. */
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
}

const customMark = "PGDMP";
const sqliteMark = "SQLite format 3\0";
const edgeBytes = 64 * 1024;

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
    await unpackTree(entry, path, report, signal);
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
  const trailer = /-- PostgreSQL database (cluster )?dump complete\n--\s*(\\unrestrict \S+\s*)?$/.exec(tail.toString("utf8"));
  if (trailer === null) {
    throw new HoldfastError(
      "backup-incomplete",
      `${entry.name} has not the line that ends a dump: it is cut off, or is none of pg_dump's`,
      {
        hint: "Nothing of it was loaded. Restore another backup.",
      },
    );
  }
  if (trailer[1] === undefined) return { ...base, kind: "plain", needs: reader.finish() };
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

function readDatabase(sourcePath: string): string | undefined {
  try {
    return parseConnectionUrl(sourcePath).database;
  } catch {
    return undefined;
  }
}

async function giveTo(identity: Identity | null, ...paths: readonly string[]): Promise<void> {
  if (identity !== null) for (const path of paths) await chown(path, identity.uid, identity.gid);
}

/** pg_dump's directories are flat and hold plain files: anything else is none of them. */
async function unpackTree(entry: StoredEntry, path: string, report: (bytes: number) => void, signal: AbortSignal): Promise<void> {
  await mkdir(path, { mode: 0o700 });
  const args = ["--extract", "--file=-", `--directory=${path}`, "--no-same-owner", "--no-same-permissions", "--keep-old-files"];
  {
    await using tar = openProgram("tar", args, { stdin: "pipe" }, signal);
    const { stdin } = tar;
    stdin?.on("error", () => undefined);
    tar.stdout?.resume();
    for await (const chunk of reportBytes(entry.open(signal), report)) {
      if (stdin?.write(chunk) === false) await Promise.race([new Promise((resolve) => stdin.once("drain", resolve)), tar.finished]);
    }
    stdin?.end();
    await tar.finished;
  }
  for (const name of await readdir(path)) {
    const file = join(path, name);
    const stats = await lstat(file);
    if (stats.isFile() && stats.nlink === 1) {
      await chmod(file, 0o600);
      continue;
    }
    await rm(path, { recursive: true, force: true });
    throw new HoldfastError("backup-damaged", `${entry.name} is no directory of pg_dump's: ${name} is no plain file in it`);
  }
}
