import { createReadStream, createWriteStream, existsSync } from "node:fs";
import { open, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Contents, emptyContents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { RestoreSession, StoredEntry, TargetFacts } from "../contract.ts";
import { explainSpace } from "../trees/explain-fault.ts";
import { readExport } from "./read-export.ts";

/** Lays the export itself into a directory of ours. */
export class ExportFileRestore implements RestoreSession {
  readonly #directory: string;
  #path: string | undefined;
  #isSwapped = false;

  constructor(directory: string) {
    this.#directory = directory;
  }

  inspect(): Promise<TargetFacts> {
    return Promise.resolve({
      summary: "nothing is there",
      present: false,
      bytes: 0,
      method: "writes the export",
      neededBytes: 0,
      notes: [],
      users: [],
    });
  }

  async stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    for await (const entry of entries) {
      if (entry.form !== "file" || this.#path !== undefined)
        throw new HoldfastError("backup-damaged", `"${entry.name}": one export was expected`);
      const path = join(this.#directory, basename(entry.name));
      if (existsSync(path)) throw new HoldfastError("target-in-use", `Cannot restore to ${path}: it is there already`);
      this.#path = path;
      try {
        await pipeline(Readable.from(entry.open(signal)), createWriteStream(path, { flags: "wx", mode: 0o600 }), { signal });
        await using file = await open(path, "r");
        await file.sync();
      } catch (error) {
        throw explainSpace(error, `Cannot restore to ${path}`);
      }
    }
    return await this.#read();
  }

  swap(): Promise<void> {
    this.#isSwapped = true;
    return Promise.resolve();
  }

  async summarize(): Promise<Contents> {
    return await this.#read();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isSwapped && this.#path !== undefined) await rm(this.#path, { force: true });
  }

  async #read(): Promise<Contents> {
    if (this.#path === undefined) return emptyContents;
    const parts = readExport(createReadStream(this.#path, { highWaterMark: 1024 * 1024 }));
    for (let next = await parts.next(); ; next = await parts.next()) if (next.done === true) return next.value;
  }
}
