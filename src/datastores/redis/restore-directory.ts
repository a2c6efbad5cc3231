import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { compareContents, emptyContents, type Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import { prefixError } from "../../base/prefix-error.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { DriverContext, RestoreOptions, RestoreSession, RestoreTarget, StoredEntry, SwapStep, TargetFacts } from "../contract.ts";
import { requireSingleRdb, scanRdbFile, syncFile, writeAndScan } from "./check-rdb.ts";
import { explainRedisError } from "./explain-error.ts";
import type { RedisOptions } from "./options.ts";
import { describeLoaded, describeScan } from "./rdb-contents.ts";
import type { RdbScan } from "./scan-rdb.ts";
import { openScratchServer, saveScratch, type ScratchServer } from "./scratch-server.ts";

/** The RDB as a file in a directory of ours; for a drill a private server loads it, which goes when this is closed. */
export class DirectoryRestore implements RestoreSession {
  readonly #target: Exclude<RestoreTarget, { kind: "original" }>;
  readonly #absent: boolean;
  readonly #context: DriverContext;
  readonly #resources = new AsyncDisposableStack();
  #path: string;
  #scan: RdbScan | undefined;
  #server: ScratchServer | undefined;
  #swapped = false;

  constructor(
    options: RedisOptions,
    target: Exclude<RestoreTarget, { kind: "original" }>,
    { absent }: RestoreOptions,
    context: DriverContext,
  ) {
    this.#target = target;
    this.#absent = absent;
    this.#context = context;
    this.#path = join(target.path, options.entry);
  }

  inspect(_signal: AbortSignal): Promise<TargetFacts> {
    return Promise.resolve({
      summary: this.#target.path,
      present: false,
      bytes: 0,
      method: this.#target.kind === "scratch" ? "loads the data into a private server" : "writes the RDB file",
      neededBytes: 0,
      notes: [],
      users: [],
    });
  }

  stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    return this.#explained(signal, async () => {
      for await (const entry of entries) {
        requireSingleRdb(entry, this.#scan);
        this.#path = join(this.#target.path, basename(entry.name));
        this.#scan = await writeAndScan(entry, this.#path, signal, (bytes) => this.#context.progress({ phase: "staging", bytes }));
        if (this.#target.kind !== "scratch") await syncFile(this.#path);
      }
      if (this.#scan !== undefined) return describeScan(this.#scan);
      if (this.#absent) return emptyContents;
      throw new HoldfastError("backup-incomplete", "the backup has no RDB");
    });
  }

  swap(_record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    return this.#explained(signal, async () => {
      this.#swapped = true;
      if (this.#target.kind !== "scratch" || this.#scan === undefined) return;
      this.#context.progress({ phase: "loading" });
      const rdb = { path: this.#path, scan: this.#scan };
      this.#server = this.#resources.use(await openScratchServer({ directory: this.#target.path, rdb }, signal));
    });
  }

  summarize(signal: AbortSignal): Promise<Contents> {
    return this.#explained(signal, async () => {
      if (this.#scan === undefined) return emptyContents;
      if (this.#server === undefined) return describeScan(await scanRdbFile(this.#path, Date.now(), signal));
      this.#context.progress({ phase: "comparing" });
      const saved = await scanRdbFile(await saveScratch(this.#server), Date.now(), signal);
      const contents = describeLoaded(this.#scan, saved);
      if (compareContents(describeScan(this.#scan), contents).length === 0) return contents;
      // More keys may have come to their time since the RDB was looked at.
      return describeLoaded(await scanRdbFile(this.#path, Date.now(), signal), saved);
    });
  }

  async #explained<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    try {
      signal.throwIfAborted();
      return await act();
    } catch (error) {
      if (signal.aborted) throw createAbortError(signal, `The restore of "${this.#context.name}" was stopped`);
      throw prefixError(`Cannot restore "${this.#context.name}"`, explainRedisError(error, "a private server"));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
    if (!this.#swapped) await rm(this.#path, { force: true });
  }
}
