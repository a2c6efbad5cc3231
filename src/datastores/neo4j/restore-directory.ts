import { basename, dirname, join } from "node:path";
import { mkdir, rename } from "node:fs/promises";
import { emptyContents, type Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { DriverContext, RestoreOptions, RestoreSession, StoredEntry, TargetFacts } from "../contract.ts";
import { removeCopies } from "./copy-store.ts";
import { nameArchive, removeFile, requireSingleDump, stageDump, writeEntry } from "./load-dump.ts";
import type { Neo4jOptions } from "./options.ts";
import { requireHome } from "./tools.ts";

/** The dump as a file in a directory of ours; that it can be loaded, is consistent and has the graph is proven in the staging directory. */
export class DumpToDirectory implements RestoreSession {
  readonly #options: Neo4jOptions;
  readonly #directory: string;
  readonly #absent: boolean;
  readonly #context: DriverContext;
  #path: string | undefined;
  #staged: Contents | undefined;
  #swapped = false;

  constructor(options: Neo4jOptions, directory: string, { absent }: RestoreOptions, context: DriverContext) {
    this.#options = options;
    this.#directory = directory;
    this.#absent = absent;
    this.#context = context;
  }

  inspect(): Promise<TargetFacts> {
    return Promise.resolve({
      summary: this.#directory,
      present: false,
      bytes: 0,
      method: "writes the dump, and loads it into a private server",
      neededBytes: 0,
      notes: [],
      users: [],
    });
  }

  async stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    const what = `Cannot restore "${this.#context.name}"`;
    const work = join(this.#context.stagingDir, "work");
    const into = join(this.#context.stagingDir, "loaded");
    try {
      for await (const entry of entries) {
        const form = requireSingleDump(entry, this.#staged);
        const admin = { options: this.#options, home: requireHome(this.#options), place: { directory: work, data: "" } };
        const dumps = join(this.#directory, ".loading");
        await mkdir(dumps, { mode: 0o700 });
        await mkdir(into, { mode: 0o700 });
        const path = join(dumps, nameArchive(this.#options.database, form));
        await writeEntry(entry, path, what, signal);
        const progress = (phase: string): void => this.#context.progress({ phase });
        this.#staged = await stageDump(entry, path, { admin, into, what, progress }, signal);
        this.#path = join(this.#directory, basename(entry.name));
        await rename(path, this.#path);
      }
    } catch (error) {
      if (signal.aborted) throw createAbortError(signal, `${what} was stopped`);
      throw error;
    } finally {
      await removeCopies([work, into, join(this.#directory, ".loading")]);
    }
    if (this.#staged !== undefined) return this.#staged;
    if (this.#absent) return emptyContents;
    throw new HoldfastError("backup-incomplete", `${what}: the backup has no dump`);
  }

  swap(): Promise<void> {
    this.#swapped = true;
    return Promise.resolve();
  }

  summarize(): Promise<Contents> {
    return Promise.resolve(this.#staged ?? emptyContents);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#swapped && this.#path !== undefined && dirname(this.#path) === this.#directory) await removeFile(this.#path);
  }
}
