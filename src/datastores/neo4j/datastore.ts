import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { findClosest } from "../../base/closest-name.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type {
  Datastore,
  DriverContext,
  DumpEntry,
  DumpFacts,
  ProbeFacts,
  RestoreOptions,
  RestoreSession,
  RestoreTarget,
} from "../contract.ts";
import { explainSourceFault } from "../trees/explain-fault.ts";
import { surveyTree } from "../trees/survey-tree.ts";
import { describeDirectory, findDirectory } from "../volume.ts";
import { copyDirectory, copyStore, copyWhileStill, removeCopies } from "./copy-store.ts";
import { dumpArchive, dumpDatabase, dumpOnline, type Copy } from "./dump.ts";
import type { Neo4jOptions } from "./options.ts";
import { openNeo4jRestore } from "./restore.ts";
import { requireNoLinks } from "./require-no-links.ts";
import { listPlaces, listStoreDirectories, storeParts } from "./store-places.ts";
import { findHome, readToolVersion, requireHome, requireJava } from "./tools.ts";

const wholeTree = { exclude: [], oneFileSystem: true };

/** A configured database. What it copies lies in the staging directory until it is closed. */
export class Neo4jDatastore implements Datastore {
  readonly #options: Neo4jOptions;
  readonly #context: DriverContext;
  #copy: Copy | "absent" | undefined;

  constructor(options: Neo4jOptions, context: DriverContext) {
    this.#options = options;
    this.#context = context;
  }

  async probe(signal: AbortSignal): Promise<ProbeFacts> {
    const nothing = { estimatedBytes: 0, stagingBytes: 0, absent: true, notes: [] };
    if (this.#options.method === "online") return { summary: `Neo4j at ${this.#options.from}`, stagingBytes: 0, absent: false, notes: [] };
    const data = await this.#findData(signal);
    if (data === undefined) return { summary: "no database", ...nothing };
    const sizes = await Promise.all(listPlaces(data, this.#options).map((path) => surveyTree(path, wholeTree, signal)));
    const bytes = sizes.reduce((sum, { tarBytes }) => sum + tarBytes, 0);
    const home = this.#options.prove === "graph" ? this.#findHome() : undefined;
    if (home !== undefined) requireJava(this.#options, this.#what);
    const tools = home === undefined ? "its files only" : `Neo4j ${readToolVersion(home)} here`;
    const device = sizes[0]?.device;
    return {
      summary: `Neo4j database "${this.#options.database}", ${describeBytes(bytes)}, ${tools}`,
      estimatedBytes: bytes,
      // The copy, and what is made of it: a dump, or a second copy that a server works on.
      stagingBytes: home === undefined ? bytes : 2 * bytes + 64 * 1024 * 1024,
      ...(device === undefined ? {} : { device }),
      absent: false,
      notes: this.#listUnproven(),
    };
  }

  async snapshot(signal: AbortSignal): Promise<void> {
    const { method, database } = this.#options;
    if (this.#copy !== undefined || method === "online") return;
    const data = await this.#findData(signal);
    if (data === undefined) {
      this.#copy = "absent";
      return;
    }
    if (this.#findHome() !== undefined) requireJava(this.#options, this.#what); // a missing tool is told before the downtime's work, not after it
    const path = join(this.#context.stagingDir, "copy");
    this.#copy = { path, data };
    const what = this.#what;
    this.#context.progress({ phase: "copying" });
    const copying = this.#context.copying ?? "live";
    try {
      const places = method === "archive" ? storeParts.map((part) => join(data, part)) : listPlaces(data, this.#options);
      requireNoLinks(places, what, "source-unreadable");
      const source = { data, directories: listPlaces(data, this.#options), copying, what };
      await copyWhileStill(
        source,
        () => (method === "archive" ? copyDirectory(data, path, what, signal) : copyStore(data, path, database, what, signal)),
        signal,
      );
    } catch (error) {
      if (signal.aborted) throw createAbortError(signal, `${what} was stopped`);
      throw readErrno(error) === undefined ? error : explainSourceFault(error, data);
    }
  }

  async *dump(signal: AbortSignal): AsyncGenerator<DumpEntry, DumpFacts, undefined> {
    try {
      await this.snapshot(signal);
      if (this.#copy === "absent") return { checked: false, notes: [], absent: true };
      const task = {
        options: this.#options,
        context: this.#context,
        what: this.#what,
        notes: [...this.#describeCopying(), ...this.#listUnproven()],
      };
      if (this.#copy === undefined) return yield* dumpOnline(task, (await findDirectory(this.#options.data, signal)).path, signal);
      return yield* this.#options.method === "archive" ? dumpArchive(task, this.#copy, signal) : dumpDatabase(task, this.#copy, signal);
    } catch (error) {
      if (signal.aborted) throw createAbortError(signal, `${this.#what} was stopped`);
      throw error;
    } finally {
      await this.#removeCopies();
    }
  }

  openRestore(target: RestoreTarget, restoring: RestoreOptions, signal: AbortSignal): Promise<RestoreSession> {
    return openNeo4jRestore(this.#options, target, restoring, this.#context, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#removeCopies();
  }

  get #what(): string {
    return `Cannot dump "${this.#context.name}"`;
  }

  async #removeCopies(): Promise<void> {
    await removeCopies(["copy", "work", "online"].map((name) => join(this.#context.stagingDir, name)));
  }

  #findHome(): string | undefined {
    const { method, prove } = this.#options;
    if (method === "archive") return prove === "graph" ? findHome(this.#options) : undefined;
    try {
      return requireHome(this.#options);
    } catch (error) {
      if (error instanceof HoldfastError)
        throw new HoldfastError(error.code, `${this.#what}: ${error.message}`, {
          cause: error,
          ...(error.hint === undefined ? {} : { hint: error.hint }),
        });
      throw error;
    }
  }

  #describeCopying(): readonly Note[] {
    if (this.#context.copying !== "paused") return [];
    return [
      {
        level: "info",
        code: "crash-consistent",
        message:
          "The server was paused and not stopped: the copy is what a power cut would have left, and Neo4j recovers it when it starts",
      },
    ];
  }

  #listUnproven(): readonly Note[] {
    const { method, prove } = this.#options;
    if (method === "online")
      return [
        { level: "warning", code: "graph-not-proven", message: "What the online backup holds is counted by no server until a restore" },
      ];
    if (method !== "archive" || (prove === "graph" && findHome(this.#options) !== undefined)) return [];
    const why = prove === "files" ? "by `prove: files`" : "no Neo4j is installed on this machine (set `home`)";
    return [
      { level: "warning", code: "graph-not-proven", message: `The files are whole, but no server has read the graph in the copy: ${why}` },
    ];
  }

  /** Undefined for an optional one that is not there. @throws source-missing, source-unreadable, source-unreachable */
  async #findData(signal: AbortSignal): Promise<string | undefined> {
    const { optional, database } = this.#options;
    try {
      const { path } = await findDirectory(this.#options.data, signal);
      await this.#assertThere(path);
      return path;
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== "source-missing") throw error;
      if (optional) return undefined;
      const where = describeDirectory(this.#options.data);
      const others = await listDatabases(this.#options.data, signal);
      const closest = findClosest(database, others);
      const why = others.length === 0 ? `: ${error.message}` : `, but ${others.join(", ")}`;
      throw new HoldfastError("source-missing", `${this.#what}: there is no database "${database}" in ${where}${why}`, {
        hint: `${closest === undefined ? "" : `Did you mean "${closest}"? `}Correct \`data\` and \`database\`; set \`optional: true\` where its absence is normal.`,
        cause: error,
      });
    }
  }

  async #assertThere(data: string): Promise<void> {
    const { method, database } = this.#options;
    try {
      const entries = await readdir(data);
      const empty = !entries.some((name) => !/^(\.holdfast-|lost\+found$)/.test(name));
      for (const path of method === "archive" && !empty ? [join(data, "databases")] : listStoreDirectories(data, database))
        await lstat(path);
    } catch (error) {
      throw explainSourceFault(error, data);
    }
  }
}

/** The databases that a data directory has; none where there is no such directory. */
async function listDatabases(data: Neo4jOptions["data"], signal: AbortSignal): Promise<readonly string[]> {
  try {
    const entries = await readdir(join((await findDirectory(data, signal)).path, "databases"), { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() && entry.name !== "system" ? [entry.name] : [])).toSorted();
  } catch {
    signal.throwIfAborted();
    return [];
  }
}
