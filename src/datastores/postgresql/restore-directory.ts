import { chmod, mkdir, rename, rm } from "node:fs/promises";
import { open } from "node:fs/promises";
import { createReadStream } from "node:fs";
import { basename, join } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { emptyContents, type Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import { streamProgram } from "../../base/subprocess.ts";
import type { DriverContext, RestoreSession, StoredEntry, TargetFacts } from "../contract.ts";
import { checkDump } from "./check.ts";
import { runExplained } from "./restore-explain.ts";
import { createRestoreMark } from "./restore-names.ts";
import { unpackDirectory } from "./unpack-directory.ts";

interface Placed {
  readonly entry: StoredEntry;
  readonly name: string;
}

/** Puts the files of the dump into a directory, for pg_restore or psql by hand. */
export class DirectoryRestore implements RestoreSession {
  readonly #path: string;
  readonly #context: DriverContext;
  readonly #staged: string;
  readonly #placed: Placed[] = [];

  constructor(path: string, context: DriverContext) {
    this.#path = path;
    this.#context = context;
    this.#staged = join(path, `.holdfast-restore-${createRestoreMark()}`);
  }

  inspect(): Promise<TargetFacts> {
    const summary = `the directory ${this.#path}`;
    return Promise.resolve({ summary, present: false, bytes: 0, method: "writes the dump's files", neededBytes: 0, notes: [], users: [] });
  }

  stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    const stage = async (): Promise<Contents> => {
      await mkdir(this.#staged, { mode: 0o700 });
      for await (const entry of entries) await this.#stageEntry(entry, signal);
      return await this.#check(this.#staged, signal);
    };
    return runExplained("restore", this.#context.name, stage, signal);
  }

  async #stageEntry(entry: StoredEntry, signal: AbortSignal): Promise<void> {
    const name = entry.form === "tree" ? basename(entry.name).replace(/\.tar$/, "") : basename(entry.name);
    const path = join(this.#staged, name);
    if (entry.form === "tree") await unpackDirectory(entry.open(signal), path, signal);
    else {
      await using file = await open(path, "wx", 0o600);
      await file.writeFile(entry.open(signal));
      await file.sync();
    }
    this.#placed.push({ entry, name });
  }

  /** Reads the files themselves. */
  async #check(directory: string, signal: AbortSignal): Promise<Contents> {
    if (this.#placed.length === 0) return emptyContents;
    const placed = this.#placed;
    async function* reread(): AsyncGenerator<StoredEntry, void, undefined> {
      for (const { entry, name } of placed) yield { ...entry, open: (inner) => readBack(entry, join(directory, name), inner) };
    }
    return (await checkDump(reread(), this.#context, signal)).contents;
  }

  async swap(): Promise<void> {
    for (const { name } of this.#placed) {
      await rename(join(this.#staged, name), join(this.#path, name)).catch((error: unknown) => {
        throw new HoldfastError("target-unsafe", `Cannot put ${name} into ${this.#path}`, {
          cause: error,
          hint: "Choose an empty directory.",
        });
      });
      await chmod(join(this.#path, name), this.#isTree(name) ? 0o700 : 0o600);
    }
    await syncDirectory(this.#path);
  }

  #isTree(name: string): boolean {
    return this.#placed.some((each) => each.name === name && each.entry.form === "tree");
  }

  summarize(signal: AbortSignal): Promise<Contents> {
    return this.#check(this.#path, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#staged, { recursive: true, force: true });
  }
}

async function* readBack(entry: StoredEntry, path: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  if (entry.form === "tree") yield* streamProgram("tar", ["--create", "--file=-", `--directory=${path}`, "."], {}, signal);
  else yield* createReadStream(path, { highWaterMark: 1 << 20, signal }) as AsyncIterable<Uint8Array>;
}
