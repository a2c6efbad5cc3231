import { createReadStream } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { StoredEntry } from "../contract.ts";
import { explainSpace } from "../trees/explain-fault.ts";
import { runAdmin, type Admin } from "./admin.ts";
import { copyStore, removeCopies } from "./copy-store.ts";
import { readDump } from "./dump-format.ts";
import { joinContents, proveCopy } from "./prove-copy.ts";
import { prepareWorkplace } from "./tools.ts";

/** Writes a stored entry to a file, durable. @returns its path */
export async function writeEntry(entry: StoredEntry, path: string, what: string, signal: AbortSignal): Promise<void> {
  try {
    await using file = await open(path, "wx", 0o600);
    for await (const chunk of entry.open(signal)) {
      signal.throwIfAborted();
      await file.writeFile(chunk);
    }
    await file.sync();
  } catch (error) {
    throw explainSpace(error, what);
  }
}

export function requireSingleDump(entry: StoredEntry, earlier: unknown): "dump" | "backup" {
  const form = /\.(dump|backup)$/.exec(entry.name)?.[1];
  if (earlier === undefined && entry.form === "file" && form !== undefined) return form as "dump" | "backup";
  throw new HoldfastError("backup-damaged", `Cannot restore "${entry.name}": one dump of Neo4j was expected`);
}

/** The format of a dump, read to its end; of an artefact of Enterprise's backup its size alone is known. */
export async function describeDumpFile(path: string, form: "dump" | "backup", bytes: number): Promise<Contents> {
  if (form === "backup") return { counts: { dumpBytes: bytes }, digests: {}, facts: {} };
  const format = await readDump(createReadStream(path), path);
  return { counts: { dumpFiles: format.files, dumpBytes: format.bytes }, digests: {}, facts: {} };
}

/**
 * Loads a dump into an empty data directory, then has a copy of that proven: what is loaded stays as it was loaded.
 * @param dumps a directory that holds the dump alone, under the name that neo4j-admin looks for
 */
export async function loadAndProve(
  load: {
    readonly admin: Admin;
    readonly dumps: string;
    readonly into: string;
    readonly what: string;
    readonly progress: (phase: string) => void;
  },
  signal: AbortSignal,
): Promise<Contents> {
  const { admin, dumps, into, what, progress } = load;
  const { directory } = admin.place;
  const loading: Admin = { ...admin, place: { directory, data: into } };
  const proving: Admin = { ...admin, place: { directory, data: join(directory, "data") } };
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await prepareWorkplace(admin.options, loading.place);
    progress("loading");
    await runAdmin(
      loading,
      ["database", "load", admin.options.database, `--from-path=${dumps}`, "--overwrite-destination=true"],
      what,
      signal,
    );
    await mkdir(proving.place.data, { mode: 0o700 });
    await copyStore(into, proving.place.data, admin.options.database, what, signal);
    return await proveCopy(proving, { what, progress }, signal);
  } finally {
    await removeCopies([directory]);
  }
}

export interface LoadTask {
  readonly admin: Admin;
  readonly into: string;
  readonly what: string;
  readonly progress: (phase: string) => void;
}

/** Keeps the entry at `path` while it is checked, loaded and proven. */
export async function stageDump(entry: StoredEntry, path: string, load: LoadTask, signal: AbortSignal): Promise<Contents> {
  const form = requireSingleDump(entry, undefined);
  const format = await describeDumpFile(path, form, entry.bytes);
  const graph = await loadAndProve({ ...load, dumps: join(path, "..") }, signal);
  return form === "backup" && entry.contents?.counts["nodes"] === undefined ? format : joinContents(graph, format);
}

/** The name under which neo4j-admin looks for an archive of a database. */
export function nameArchive(database: string, form: "dump" | "backup"): string {
  return form === "dump" ? `${database}.dump` : `${database}-2000-01-01T00-00-00.backup`;
}

export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true });
}
