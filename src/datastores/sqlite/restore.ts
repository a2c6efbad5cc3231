import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { emptyContents, type Contents } from "../../base/contents.ts";
import { HoldfastError, type ErrorCode } from "../../base/errors.ts";
import type { DriverContext, RestoreOptions, RestoreSession, RestoreTarget, StoredEntry, SwapStep, TargetFacts } from "../contract.ts";
import { damagedCodes, requireSingleFile } from "./check.ts";
import { runExplained } from "./explain-restore.ts";
import { copyLive } from "./copy-live.ts";
import { findCompanions, findFile, readFileState } from "./database-files.ts";
import { countTarget } from "./count-target.ts";
import { findUsers, type FileUsers } from "./find-users.ts";
import { resolveIdentity, type Identity } from "../../base/identity.ts";
import { inspectTarget } from "./inspect-target.ts";
import type { SqliteOptions } from "./options.ts";
import { createInUseError, createNameBeside, moveAside, placeFile } from "./replace-file.ts";
import { replaceLive } from "./replace-live.ts";
import { removeDatabase } from "./remove-database.ts";
import { runChild } from "./run-child.ts";
import { createMissingError, readSourceFile } from "../sqlite-files/source-file.ts";
import { isWalDatabase, readTargetFile } from "./target-file.ts";
import { writeStaged, type Ownership } from "./write-staged.ts";

/** A restore of one database: into its own place, or into a directory made for it. */
export class SqliteRestore implements RestoreSession {
  readonly #options: SqliteOptions;
  readonly #target: RestoreTarget;
  readonly #absent: boolean;
  readonly #record: RestoreOptions["record"];
  readonly #application: "stopped" | "may-run";
  readonly #context: DriverContext;
  #path: string;
  #identity: Identity | null = null;
  #staged: string | undefined;
  /** What was read from the staged copy when it was whole, and the state of its file then. */
  #compared: { readonly contents: Contents; readonly state: string } | undefined;
  /** Of the database when it was backed up; its copy in the backup is in no such mode, to be one file. */
  #wasWal = false;

  /** Throws `target-unsafe` where no database can be put. */
  static async open(
    options: SqliteOptions,
    target: RestoreTarget,
    restoring: RestoreOptions,
    context: DriverContext,
  ): Promise<SqliteRestore> {
    const path =
      target.kind === "original" ? (await readTargetFile(options.path)).path : join(target.path, options.entry ?? basename(options.path));
    return new SqliteRestore(options, target, restoring, context, path);
  }

  private constructor(
    options: SqliteOptions,
    target: RestoreTarget,
    { absent, record, application = "stopped" }: RestoreOptions,
    context: DriverContext,
    path: string,
  ) {
    this.#options = options;
    this.#target = target;
    this.#absent = absent;
    this.#record = record;
    this.#application = application;
    this.#context = context;
    this.#path = path;
  }

  inspect(signal: AbortSignal): Promise<TargetFacts> {
    return this.#explained(signal, () => inspectTarget(this.#path, this.#absent));
  }

  count(signal: AbortSignal): Promise<Readonly<Record<string, number>> | undefined> {
    return countTarget(this.#path, this.#options, signal);
  }

  stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    return this.#explained(signal, () => this.#stage(entries, signal), damagedCodes);
  }

  async #stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    let count = 0;
    for await (const entry of entries) {
      count += 1;
      requireSingleFile(entry, count);
      this.#wasWal = entry.contents?.facts["journalMode"] === "wal";
      await this.#stageEntry(entry, signal);
    }
    if (this.#absent && count === 0) return emptyContents;
    if (this.#staged === undefined) throw new HoldfastError("backup-incomplete", "the backup has no database file");
    // SQLite would take an empty file for an empty database.
    await readSourceFile(this.#staged);
    const settings = { identity: this.#identity, progress: this.#context.progress };
    this.#context.progress({ phase: "comparing" });
    const request = { op: "examine", path: this.#staged, header: "self-contained", integrity: "full", countRows: "all" } as const;
    const { contents } = await runChild(request, settings, signal);
    // An application may rely on the mode that its database has now, or had.
    if ((await isWalDatabase(this.#path)) ?? this.#wasWal) await runChild({ op: "convert-to-wal", path: this.#staged }, settings, signal);
    this.#compared = { contents, state: await readFileState(this.#staged) };
    return contents;
  }

  async #stageEntry(entry: StoredEntry, signal: AbortSignal): Promise<void> {
    if (this.#target.kind !== "original") this.#path = join(this.#target.path, basename(entry.name));
    const ownership = await this.#findOwnership(entry);
    // A directory of ours may be closed to the owner, and nobody else uses what is in it.
    if (this.#target.kind === "original" && ownership !== undefined)
      this.#identity = await resolveIdentity(this.#options.runAs, ownership, signal);
    const staged = createNameBeside(this.#path, "restore");
    await this.#record?.({ op: "stage", path: staged });
    this.#staged = staged;
    const report = (bytes: number) => this.#context.progress({ phase: "staging", bytes, totalBytes: entry.bytes });
    await writeStaged(entry, staged, ownership, report, signal);
  }

  /** The present file's, else the backed-up one's. */
  async #findOwnership(entry: StoredEntry): Promise<Ownership | undefined> {
    const present = this.#target.kind === "original" ? (await readTargetFile(this.#path)).stats : undefined;
    return present === undefined ? entry.attributes : { mode: Number(present.mode), uid: Number(present.uid), gid: Number(present.gid) };
  }

  swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    return this.#explained(signal, () => this.#swap(record, signal));
  }

  async #swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    const users = await this.#findUsers();
    if (this.#absent) {
      if (users.pids.length > 0) throw createInUseError(this.#path, users.pids);
      return moveAside(this.#path, record);
    }
    const staged = this.#staged === undefined ? undefined : await findFile(this.#staged);
    if (staged === undefined) throw new HoldfastError("internal", "Bug: a restore was swapped before it was staged");
    if (!(await this.#replaceLive(staged.path, users.pids.length > 0, record, signal))) {
      await moveAside(this.#path, record);
      await placeFile(staged, this.#path, record);
    }
    this.#staged = undefined;
  }

  /** Whether the database was overwritten in one transaction: the only way that is safe while an application has it open, or may open it. */
  async #replaceLive(staged: string, used: boolean, record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<boolean> {
    if (!used && (this.#application === "stopped" || (await findFile(this.#path)) === undefined)) return false;
    const target = { path: this.#path, identity: this.#identity, options: this.#options };
    return (await replaceLive(staged, target, used ? "fail" : "tell", record, signal)) === "replaced";
  }

  summarize(signal: AbortSignal): Promise<Contents> {
    return this.#explained(signal, () => this.#summarize(signal));
  }

  async #summarize(signal: AbortSignal): Promise<Contents> {
    if (this.#absent) return emptyContents;
    // The very file that was read to its end and compared, and nothing has written to it since.
    if (this.#compared?.state === (await readFileState(this.#path)) && (await findCompanions(this.#path)).length === 0)
      return this.#compared.contents;
    const settings = { identity: this.#identity, progress: this.#context.progress };
    if ((await this.#findUsers()).pids.length === 0) {
      const request = { op: "examine", path: this.#path, header: "keep", integrity: "full", countRows: "all" } as const;
      return (await runChild(request, settings, signal)).contents;
    }
    // An examination would keep writers waiting too long: only a copy is examined.
    const source = await readSourceFile(this.#path);
    if (source === undefined) throw createMissingError(this.#path);
    const copy = await copyLive({ ...this.#options, path: this.#path }, source, this.#context, signal);
    await rm(copy.path, { force: true });
    return copy.contents;
  }

  async #findUsers(): Promise<FileUsers> {
    const database = await findFile(this.#path);
    return findUsers([...(database === undefined ? [] : [database]), ...(await findCompanions(this.#path))]);
  }

  #explained<T>(signal: AbortSignal, act: () => Promise<T>, codes: Partial<Record<ErrorCode, ErrorCode>> = {}): Promise<T> {
    return runExplained(this.#context.name, signal, act, codes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#staged !== undefined) await removeDatabase(this.#staged);
  }
}
