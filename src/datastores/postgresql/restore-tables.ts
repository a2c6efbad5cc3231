import { emptyContents, type Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { DriverContext, RestoreOptions, RestoreSession, SavedMember, StoredEntry, SwapStep, TargetFacts } from "../contract.ts";
import { describeUser, selectDatabase } from "./connection.ts";
import { readFilledTables } from "./custom-archive.ts";
import { formatTableKey } from "./dump-contents.ts";
import type { PostgresqlOptions } from "./options.ts";
import { createCountedContents } from "./restore-contents.ts";
import { countTable } from "./restore-count.ts";
import { runExplained } from "./restore-explain.ts";
import { inspectServer } from "./restore-inspect.ts";
import { loadDump } from "./restore-load.ts";
import { createRestoreMark, createSideName } from "./restore-names.ts";
import { requireNeeds } from "./restore-needs.ts";
import { readParts } from "./restore-parts.ts";
import { readProperties } from "./restore-properties.ts";
import { RoleStatements } from "./restore-roles.ts";
import { assertSameServer } from "./restore-same-server.ts";
import { assertTablesSaved } from "./restore-saved.ts";
import { shapeLike } from "./restore-shape.ts";
import { openDatabase, openMaintenance, type Server } from "./restore-sql.ts";
import { examineDump, readMajor, stageDatabase, type DumpToStage } from "./restore-stage.ts";
import { chooseTables, readSequences, readTables, requireSameColumns, sameTable, type TableFacts } from "./restore-table-set.ts";
import { replaceTables, type TableReplacement } from "./swap-tables.ts";
import { dropDatabase } from "./swap-roll-back.ts";
import type { CreateStep, TablesStep } from "./swap-steps.ts";

const closeMs = 60_000;

/** @throws backup-incomplete for tables whose rows were left out of the backup: it would empty them */
function requireRows(chosen: readonly TableFacts[], filled: ReadonlySet<string>): void {
  const without = chosen.map(({ schema, table }) => formatTableKey(schema, table)).filter((key) => !filled.has(key));
  if (without.length === 0) return;
  throw new HoldfastError("backup-incomplete", `the backup holds no rows of ${without.join(", ")}: they were left out`, {
    hint: "Restore another table, or a backup that was made without schemaOnly and without excludeTableData for this one.",
  });
}

const bareArgs = ["--no-owner", "--no-privileges"];

/** A restore of some tables: the dump goes into a database of its own, and from there their rows into the live one. */
export class TablesRestore implements RestoreSession {
  readonly #options: PostgresqlOptions;
  readonly #parts: readonly string[];
  readonly #restoring: RestoreOptions;
  readonly #context: DriverContext;
  readonly #server: Server;
  readonly #mark = createRestoreMark();
  #staged: string | undefined;
  /** The database that the dump is of; this one's name may be another. */
  #dumped: string | undefined;
  #expected: Contents | undefined;
  #chosen: readonly TableFacts[] = [];
  #replacements: readonly TableReplacement[] = [];
  #contents: Contents = emptyContents;

  /** Of those tables that `parts` names, as people do. */
  constructor(options: PostgresqlOptions, parts: readonly string[], restoring: RestoreOptions, context: DriverContext, server: Server) {
    this.#options = options;
    this.#parts = parts;
    this.#restoring = restoring;
    this.#context = context;
    this.#server = server;
  }

  get #database(): string {
    return this.#server.access.connection.database ?? describeUser(this.#server.access);
  }

  inspect(signal: AbortSignal): Promise<TargetFacts> {
    return this.#explained(signal, () => inspectServer(this.#server, this.#options, this.#database, this.#restoring, signal));
  }

  stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    return this.#explained(signal, () => this.#stage(entries, signal));
  }

  async #stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    const roles = new RoleStatements();
    let loaded = false;
    const note = (contents: Contents | undefined): void => {
      this.#expected ??= contents;
    };
    async function* watch(): AsyncGenerator<StoredEntry, void, undefined> {
      for await (const entry of entries) {
        note(entry.contents);
        yield entry;
      }
    }
    for await (const { dump, origin } of readParts(
      watch(),
      this.#context,
      { identity: this.#server.access.identity, large: "spool" },
      roles,
      signal,
    )) {
      const isOther = origin === "cluster" || this.#options.databases !== undefined ? dump.database !== this.#database : false;
      if (isOther) continue;
      if (loaded) {
        throw new HoldfastError("usage", "the backup holds several databases, and the datastore one", {
          hint: `Set \`databases: [${JSON.stringify(this.#database)}]\` for the datastore: then it is that of the tables.`,
        });
      }
      loaded = true;
      this.#dumped = dump.database;
      await using session = await openMaintenance(this.#server, [this.#database], signal);
      const major = await readMajor(session);
      const examined = await examineDump(this.#server, this.#options, dump, major, signal);
      await this.#load(examined, major, signal);
    }
    if (!loaded) throw new HoldfastError("backup-incomplete", `the backup does not hold the database ${this.#database}`);
    return await this.#compare(signal);
  }

  async #load(examined: DumpToStage, major: number, signal: AbortSignal): Promise<void> {
    await using session = await openMaintenance(this.#server, [this.#database], signal);
    const old = await readProperties(session, this.#database);
    if (old === undefined) {
      throw new HoldfastError("target-unsafe", `there is no database ${this.#database} to put tables into`, {
        hint: "Restore all of the backup: leave out the tables' names.",
      });
    }
    // Neither owners nor rights are taken from the dump where pg_restore can leave them out.
    const isArchive = examined.dump.kind === "custom" || examined.dump.kind === "directory";
    await requireNeeds(session, isArchive ? { ...examined.needs, roles: [] } : examined.needs, major);
    const name = createSideName(this.#database, "new", this.#mark);
    await this.#restoring.record?.({ op: "create", database: name } satisfies CreateStep);
    this.#staged = name;
    const bare = { ...old, settings: [], comment: null, labels: [], grants: null };
    const settings = { name, shape: shapeLike(bare), jobs: this.#options.jobs, progress: this.#context.progress };
    if (!isArchive) {
      await stageDatabase(this.#server, session, examined, settings, signal);
      this.#chosen = await this.#choose(name, signal);
      requireRows(this.#chosen, examined.needs.filled);
      return;
    }
    await stageDatabase(this.#server, session, examined, { ...settings, selections: [[...bareArgs, "--section=pre-data"]] }, signal);
    this.#chosen = await this.#choose(name, signal);
    requireRows(this.#chosen, await readFilledTables(examined.dump));
    const access = selectDatabase(this.#server.access, name);
    this.#context.progress({ phase: "loading" });
    // Partitions have those of their parents in common.
    const loaded = new Set<string>();
    for (const { schema, table, sequences } of this.#chosen) {
      const selection = [...bareArgs, "--data-only", `--schema=${schema}`, `--table=${table}`];
      await loadDump(access, examined.dump, { toolset: examined.toolset, jobs: 1, selection }, signal);
      for (const sequence of sequences) {
        const key = formatTableKey(sequence.schema, sequence.name);
        if (loaded.has(key)) continue;
        loaded.add(key);
        const own = [...bareArgs, "--data-only", `--schema=${sequence.schema}`, `--table=${sequence.name}`];
        await loadDump(access, examined.dump, { toolset: examined.toolset, jobs: 1, selection: own }, signal);
      }
    }
  }

  async #compare(signal: AbortSignal): Promise<Contents> {
    const [name, chosen] = [this.#staged ?? "", this.#chosen];
    await using live = await openDatabase(this.#server, this.#database, signal);
    await using staged = await openDatabase(this.#server, name, signal);
    const present = await readTables(live);
    const replacements: TableReplacement[] = [];
    this.#context.progress({ phase: "counting" });
    for (const table of chosen) {
      const now = present.find((each) => sameTable(each, table));
      if (now === undefined) {
        throw new HoldfastError("target-unsafe", `${formatTableKey(table.schema, table.table)} is not in ${this.#database} any more`, {
          hint: "Make it again with its definition from the dump (pg_restore --schema-only), then restore its rows; or restore the whole database.",
        });
      }
      requireSameColumns(table, now);
      replacements.push({
        table: now,
        from: table,
        sequences: await readSequences(staged, table),
        rows: await countTable(staged, table),
      });
    }
    this.#replacements = replacements;
    const rows = new Map(replacements.map(({ from, rows: count }) => [formatTableKey(from.schema, from.table), count]));
    const naming = this.#expected === undefined || "largeObjects" in this.#expected.counts ? "plain" : "by-database";
    const { counts } = createCountedContents([{ database: this.#dumped, contents: { rows, largeObjects: 0 } }], naming, undefined);
    const ofTables = Object.entries(counts).filter(([key]) => key.startsWith("rows."));
    this.#contents = { counts: Object.fromEntries(ofTables), digests: {}, facts: {} };
    return this.#contents;
  }

  async #choose(name: string, signal: AbortSignal): Promise<readonly TableFacts[]> {
    await using staged = await openDatabase(this.#server, name, signal);
    return chooseTables(await readTables(staged), this.#parts);
  }

  assertSaved(saved: SavedMember, signal: AbortSignal): Promise<void> {
    return this.#explained(signal, async () => {
      await using session = await openDatabase(this.#server, this.#database, signal);
      const tables = this.#replacements.map(({ table }) => table);
      await assertTablesSaved(session, saved, this.#database, tables);
      await assertSameServer(session, this.#options, this.#staged === undefined ? [] : [this.#staged], signal);
    });
  }

  swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    return this.#explained(signal, async () => {
      const name = this.#staged;
      if (name === undefined) throw new HoldfastError("internal", "Bug: a restore was swapped before it was staged");
      const schema = `holdfast_aside_${this.#mark}`;
      await record({ op: "tables", database: this.#database, schema } satisfies TablesStep);
      await using source = await openDatabase(this.#server, name, signal);
      await replaceTables(this.#server, source, { database: this.#database, schema }, this.#replacements, signal);
    });
  }

  /** One transaction has put in exactly what was counted, or failed; whoever uses the table may have changed it since. */
  summarize(): Promise<Contents> {
    return Promise.resolve(this.#contents);
  }

  #explained<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    return runExplained("restore", this.#context.name, act, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#staged === undefined) return;
    const signal = AbortSignal.timeout(closeMs);
    await using session = await openMaintenance(this.#server, [this.#staged], signal);
    await dropDatabase(this.#server, session, this.#staged, signal);
  }
}
