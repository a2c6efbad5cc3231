import { lstatSync } from "node:fs";
import { chmod, lchown, lstat, mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { emptyContents, type Contents } from "../../base/contents.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import { HoldfastError } from "../../base/errors.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { DriverContext, RestoreOptions, RestoreSession, StoredEntry, SwapStep, TargetFacts } from "../contract.ts";
import { findUsers } from "../trees/find-users.ts";
import { findExisting, makeArea, type RestoreArea } from "../trees/restore-area.ts";
import { surveyTree } from "../trees/survey-tree.ts";
import { readInode, removeArea } from "../trees/swap-steps.ts";
import { syncTree } from "../trees/tar-program.ts";
import { readTreeState } from "../trees/tree-state.ts";
import { confirmGraph } from "./confirm.ts";
import { describeServers, findServers } from "./find-servers.ts";
import { nameArchive, requireSingleDump, stageDump, writeEntry } from "./load-dump.ts";
import type { Neo4jOptions } from "./options.ts";
import { listStoreDirectories } from "./store-places.ts";
import { swapStore } from "./swap-store.ts";
import { requireHome } from "./tools.ts";

/** Replaces one database of a stopped server, by renames in its data directory; its other databases stay, `system` among them. */
export class DatabaseRestore implements RestoreSession {
  readonly #options: Neo4jOptions;
  readonly #context: DriverContext;
  readonly #restoring: RestoreOptions;
  readonly #data: string;
  readonly #targets: readonly string[];
  #area: RestoreArea | undefined;
  #begun = false;
  #staged: Contents | undefined;
  #states: string | undefined;

  constructor(options: Neo4jOptions, data: string, restoring: RestoreOptions, context: DriverContext) {
    this.#options = options;
    this.#context = context;
    this.#restoring = restoring;
    this.#data = data;
    this.#targets = listStoreDirectories(this.#data, options.database);
  }

  async inspect(signal: AbortSignal): Promise<TargetFacts> {
    const there = this.#targets.filter((path) => readInode(path) !== undefined);
    const surveys = await Promise.all(there.map((path) => surveyTree(path, { exclude: [], oneFileSystem: true }, signal)));
    const bytes = surveys.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
    const newest = Math.max(...surveys.map(({ newestChangeAtMs }) => newestChangeAtMs));
    return {
      summary: there.length === 0 ? "nothing is there" : `Neo4j database "${this.#options.database}", ${describeBytes(bytes)}`,
      present: there.length > 0,
      bytes,
      method: "replaces the files of the database while its server is stopped",
      neededBytes: 2 * bytes,
      neededAt: findExisting(this.#data),
      notes: [],
      users: findServers(this.#data).filter((pid) => pid > 0),
      saveStagingBytes: 2 * bytes,
      ...(surveys.length === 0 ? {} : { newestChangeAtMs: newest }),
    };
  }

  stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    return this.#explained(signal, async () => {
      for await (const entry of entries) {
        const form = requireSingleDump(entry, this.#staged);
        this.#requireSwappable();
        const home = requireHome(this.#options);
        this.#area = await makeArea(this.#data, this.#restoring.record);
        const dumps = join(this.#area.path, "dumps");
        await mkdir(this.#new, { mode: 0o700 });
        await mkdir(dumps, { mode: 0o700 });
        const path = join(dumps, nameArchive(this.#options.database, form));
        await writeEntry(entry, path, this.#what, signal);
        const admin = { options: this.#options, home, place: { directory: join(this.#context.stagingDir, "work"), data: "" } };
        const progress = (phase: string): void => this.#context.progress({ phase });
        this.#staged = await stageDump(entry, path, { admin, into: this.#new, what: this.#what, progress }, signal);
        await removeArea(dumps, signal);
      }
      if (this.#staged === undefined) {
        if (this.#restoring.absent) return emptyContents;
        throw new HoldfastError("backup-incomplete", `${this.#what}: the backup has no dump`);
      }
      for (const path of this.#listNew()) await giveLike(path, await this.#findModel());
      await syncTree(this.#new, signal);
      this.#states = await this.#readStates(this.#listNew(), signal);
      return this.#staged;
    });
  }

  async swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    this.#requireNoServer([]);
    await this.#replace(record, signal);
    // One that was started meanwhile would work on with what goes away.
    if (this.#area !== undefined) this.#requireNoServer(findUsers([this.#area.path]));
  }

  #requireNoServer(more: readonly number[]): void {
    const users = [...findServers(this.#data), ...more];
    if (users.length > 0)
      throw new HoldfastError("target-in-use", `${this.#what}: a server is running on ${this.#data} (${describeServers(users)})`, {
        hint: "Give the datastore a `service`, which is stopped for the restore, or stop it in the job's stop hooks.",
      });
  }

  async #replace(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    this.#requireSwappable();
    if (this.#staged === undefined && this.#targets.every((path) => readInode(path) === undefined)) return;
    const area = (this.#area ??= await makeArea(this.#data, this.#restoring.record));
    const owner = await this.#findModel();
    signal.throwIfAborted();
    await swapStore({ data: this.#data, database: this.#options.database, area, owner }, async (step) => {
      await record(step);
      this.#begun = true;
    });
  }

  async summarize(signal: AbortSignal): Promise<Contents> {
    if (this.#staged === undefined) return emptyContents;
    // The very files that were loaded, copied and proven: nothing has changed any of them since.
    if (this.#states !== undefined && this.#states === (await this.#readStates(this.#targets, signal))) return this.#staged;
    throw new HoldfastError(
      "restore-failed",
      `${this.#what}: something has written to the restored database before its server was started`,
    );
  }

  confirm(signal: AbortSignal): Promise<"proven" | "unknown"> {
    return confirmGraph(this.#options, this.#staged, this.#what, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#area !== undefined && !this.#begun) await removeArea(this.#area.path, new AbortController().signal);
  }

  get #what(): string {
    return `Cannot restore "${this.#context.name}"`;
  }

  get #new(): string {
    return join(this.#area?.path ?? "", "new");
  }

  #listNew(): readonly string[] {
    return listStoreDirectories(this.#new, this.#options.database);
  }

  /** What is renamed must be in reach of a rename, and of one back. */
  #requireSwappable(): void {
    const device = lstatSync(findExisting(this.#data)).dev;
    for (const path of this.#targets.flatMap((target) => [dirname(target), target])) {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (stat === undefined || (stat.isDirectory() && stat.dev === device)) continue;
      throw new HoldfastError("target-unsafe", `${this.#what}: ${path} is a link, or on another file system than ${this.#data}`, {
        hint: "Restore into a directory (--to /PATH), and load the dump by hand as docs/NEO4J.md says.",
      });
    }
  }

  async #readStates(paths: readonly string[], signal: AbortSignal): Promise<string | undefined> {
    const states = await Promise.all(paths.map((path) => readTreeState(path, signal)));
    return states.includes(undefined) ? undefined : states.join(" ");
  }

  /** Owner and modes are those of what is replaced, else of what stands around it. */
  async #findModel(): Promise<Model> {
    for (const path of [this.#targets[0] ?? "", join(this.#data, "databases"), this.#data, dirname(this.#data)]) {
      const stat = await lstat(path).catch(() => undefined);
      if (stat !== undefined) return stat;
    }
    return { uid: 0, gid: 0, mode: 0o700 };
  }

  async #explained<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (signal.aborted) throw createAbortError(signal, `${this.#what} was stopped`);
      // It is the copy in the backup that is bad, and no source.
      if (error instanceof HoldfastError && error.code === "source-corrupt")
        throw new HoldfastError("restore-failed", error.message, {
          cause: error,
          ...(error.hint === undefined ? {} : { hint: error.hint }),
        });
      throw error;
    }
  }
}

interface Model {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

async function giveLike(path: string, model: Model): Promise<void> {
  const stat = await lstat(path);
  await lchown(path, model.uid, model.gid);
  if (stat.isSymbolicLink()) return;
  await chmod(path, stat.isDirectory() ? (model.mode & 0o777) | 0o700 : (model.mode & 0o666) | 0o600);
  if (stat.isDirectory()) for (const name of await readdir(path)) await giveLike(join(path, name), model);
}
