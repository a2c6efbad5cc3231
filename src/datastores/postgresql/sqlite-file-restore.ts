import { randomBytes } from "node:crypto";
import { link, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { DriverContext, RestoreSession, StoredEntry, TargetFacts } from "../contract.ts";
import { explainFailure } from "./classify-error.ts";
import { takeExport } from "./sqlite-check.ts";
import { examineExport } from "./sqlite-examine.ts";

/** A restore of an export as the file that it is: into a directory, and for a drill, which reads all of the file and loads nothing. */
export class FileRestore implements RestoreSession {
  readonly #directory: string;
  readonly #context: DriverContext;
  readonly #staged: string;
  #path: string | undefined;

  constructor(directory: string, context: DriverContext) {
    this.#directory = directory;
    this.#context = context;
    this.#staged = join(directory, `.holdfast-${randomBytes(6).toString("hex")}`);
  }

  inspect(): Promise<TargetFacts> {
    return Promise.resolve({
      summary: "a directory",
      present: false,
      bytes: 0,
      method: "puts the SQLite file there",
      neededBytes: 0,
      notes: [],
      users: [],
    });
  }

  async stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    try {
      const entry = await takeExport(entries, this.#staged, signal);
      this.#path = join(this.#directory, basename(entry.name));
      return examineExport(this.#staged).contents;
    } catch (error) {
      throw explainFailure(`Cannot restore "${this.#context.name}"`, error);
    }
  }

  async swap(): Promise<void> {
    if (this.#path === undefined) throw new HoldfastError("internal", "Bug: a swap before anything was staged");
    // Unlike a rename it replaces nothing.
    await link(this.#staged, this.#path);
    await rm(this.#staged);
  }

  summarize(): Promise<Contents> {
    return Promise.resolve(examineExport(this.#path ?? this.#staged).contents);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#staged, { force: true });
  }
}
