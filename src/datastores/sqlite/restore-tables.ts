import { emptyContents, type Contents } from "../../base/contents.ts";
import { HoldfastError, type ErrorCode } from "../../base/errors.ts";
import { resolveIdentity, type Identity } from "../../base/identity.ts";
import type { DriverContext, RestoreOptions, RestoreSession, StoredEntry, SwapStep, TargetFacts } from "../contract.ts";
import { damagedCodes, requireSingleFile } from "./check.ts";
import { runExplained } from "./explain-restore.ts";
import { inspectTarget } from "./inspect-target.ts";
import type { SqliteOptions } from "./options.ts";
import { createNameBeside } from "./replace-file.ts";
import { removeDatabase } from "./remove-database.ts";
import { runChild } from "./run-child.ts";
import { readTargetFile } from "./target-file.ts";
import { writeStaged, type Ownership } from "./write-staged.ts";

/**
 * A restore of single tables into a live database: the staged copy is a whole database, because its format does not let tables be read
 * alone; the tables go over in one transaction, in a process that acts as the database's owner.
 */
export class SqliteTablesRestore implements RestoreSession {
  readonly #options: SqliteOptions;
  readonly #tables: readonly string[];
  readonly #beyond: "keep" | "remove";
  readonly #record: RestoreOptions["record"];
  readonly #context: DriverContext;
  #staged: string | undefined;
  #identity: Identity | null = null;
  #staging: Contents = emptyContents;
  #replaced: Contents = emptyContents;

  constructor(
    options: SqliteOptions,
    parts: readonly string[],
    { record, beyond = "keep" }: Pick<RestoreOptions, "record" | "beyond">,
    context: DriverContext,
  ) {
    this.#options = options;
    this.#tables = [...new Set(parts)];
    this.#record = record;
    this.#beyond = beyond;
    this.#context = context;
  }

  inspect(signal: AbortSignal): Promise<TargetFacts> {
    return this.#explained(signal, async () => {
      const { path, identity } = await this.#readTarget(signal);
      const facts = await inspectTarget(path, false);
      const { missing, relations } = await runChild(
        { op: "read-tables", path, tables: this.#tables, busyTimeoutMs: this.#options.busyTimeoutMs, rows: "skip" },
        { identity },
        signal,
      );
      const there = this.#tables.filter((name) => !missing.includes(name));
      return {
        ...facts,
        summary: `${facts.summary}; ${there.length === 0 ? "none of the tables is there" : `${there.join(", ")} ${there.length === 1 ? "is" : "are"} there`}`,
        method: `replaces ${this.#tables.length === 1 ? "the table" : `${this.#tables.length} tables`} in one transaction; all other tables stay as they are`,
        neededBytes: 2 * facts.bytes,
        notes: [
          ...facts.notes,
          ...relations.map((relation) => ({
            level: "warning" as const,
            code: "table-used",
            message: `It stays as it is and relies on what is restored: ${relation}`,
          })),
        ],
      };
    });
  }

  stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    return this.#explained(signal, () => this.#stage(entries, signal), damagedCodes);
  }

  async #stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    const { path, identity, ownership } = await this.#readTarget(signal);
    this.#identity = identity;
    let count = 0;
    for await (const entry of entries) {
      count += 1;
      requireSingleFile(entry, count);
      const staged = createNameBeside(path, "restore");
      await this.#record?.({ op: "stage", path: staged });
      this.#staged = staged;
      const report = (bytes: number) => this.#context.progress({ phase: "staging", bytes, totalBytes: entry.bytes });
      await writeStaged(entry, staged, ownership, report, signal);
    }
    if (this.#staged === undefined) throw new HoldfastError("backup-incomplete", "the backup has no database file");
    const request = { op: "read-tables", path: this.#staged, tables: this.#tables, busyTimeoutMs: 1_000, rows: "count" } as const;
    const { missing, rows } = await runChild(request, { identity }, signal);
    if (missing.length > 0 && this.#beyond === "keep")
      throw new HoldfastError("unknown-name", `the backup has no table ${missing.join(", ")}`, {
        hint: "`holdfast show` lists the tables of a backup.",
      });
    this.#staging = describeRows(rows);
    return this.#staging;
  }

  /** Undoing the making of a table there is nothing to compare with. */
  expectedOfParts(): Contents | undefined {
    return Object.keys(this.#staging.counts).length === 0 ? emptyContents : undefined;
  }

  swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    return this.#explained(signal, async () => {
      const source = this.#staged;
      if (source === undefined) throw new HoldfastError("internal", "Bug: a restore was swapped before it was staged");
      const { path } = await this.#readTarget(signal);
      const aside = createNameBeside(path, "aside");
      const { uid, gid, user } = this.#identity ?? { uid: null, gid: null, user: null };
      await record({ op: "replace-tables", path, aside, tables: JSON.stringify(this.#tables), uid, gid, user });
      const { busyTimeoutMs } = this.#options;
      const { rows } = await runChild(
        { op: "replace-tables", path, source, aside, tables: this.#tables, busyTimeoutMs },
        { identity: this.#identity },
        signal,
      );
      this.#replaced = describeRows(rows);
      await removeDatabase(source);
      this.#staged = undefined;
    });
  }

  /** As they were counted within the transaction: the application may have written since. */
  summarize(_signal: AbortSignal): Promise<Contents> {
    return Promise.resolve(this.#replaced);
  }

  async #readTarget(
    signal: AbortSignal,
  ): Promise<{ readonly path: string; readonly identity: Identity | null; readonly ownership: Ownership }> {
    const { path, stats } = await readTargetFile(this.#options.path);
    if (stats === undefined)
      throw new HoldfastError("target-unsafe", `${path} does not exist, so no table can be put into it`, {
        hint: "Restore all of the database: leave --table out.",
      });
    const ownership = { mode: Number(stats.mode), uid: Number(stats.uid), gid: Number(stats.gid) };
    return { path, ownership, identity: await resolveIdentity(this.#options.runAs, ownership, signal) };
  }

  #explained<T>(signal: AbortSignal, act: () => Promise<T>, codes: Partial<Record<ErrorCode, ErrorCode>> = {}): Promise<T> {
    return runExplained(this.#context.name, signal, act, codes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#staged !== undefined) await removeDatabase(this.#staged);
  }
}

function describeRows(rows: Readonly<Record<string, number>>): Contents {
  return { counts: Object.fromEntries(Object.entries(rows).map(([name, count]) => [`rows.${name}`, count])), digests: {}, facts: {} };
}
