import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import Database from "better-sqlite3";
import { z } from "zod";
import type { Contents } from "../../base/contents.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import { HoldfastError } from "../../base/errors.ts";
import type {
  DriverContext,
  RestoreOptions,
  RestoreSession,
  RestoreTarget,
  SavedMember,
  StoredEntry,
  SwapStep,
  TargetFacts,
} from "../contract.ts";
import { resolveAccess, type Access } from "./connection.ts";
import { formatTableKey } from "./dump-contents.ts";
import { defaults, type PostgresqlOptions } from "./options.ts";
import { requireSaved } from "./restore-inspect.ts";
import { createRestoreMark } from "./restore-names.ts";
import { assertSameServer, createStandbyError } from "./restore-same-server.ts";
import { assertTablesSaved } from "./restore-saved.ts";
import { selectRows } from "./restore-sql.ts";
import { openPostgresqlRestore } from "./restore.ts";
import { findPsql, readServerFacts } from "./server-facts.ts";
import { openSession } from "./session.ts";
import type { SqlSession } from "./sql-session.ts";
import { takeExport } from "./sqlite-check.ts";
import { digestColumns, examineExport, type Examined } from "./sqlite-examine.ts";
import { explainImport } from "./sqlite-explain.ts";
import { countRows } from "./sqlite-export.ts";
import { FileRestore } from "./sqlite-file-restore.ts";
import { fillTable } from "./sqlite-fill.ts";
import { chooseTables, matchTables, type Import } from "./sqlite-match.ts";
import { undoSchemaPrefix } from "./sqlite-source.ts";
import { replaceRows } from "./sqlite-swap.ts";
import type { ImportStep } from "./sqlite-undo.ts";

/** A restore of a member of format sqlite: rows back into the tables of its database, or the file itself into a directory. */
export async function openSqliteRestore(
  options: PostgresqlOptions,
  target: RestoreTarget,
  restoring: RestoreOptions,
  context: DriverContext,
  signal: AbortSignal,
): Promise<RestoreSession> {
  // Of the absence of a database every format says the same.
  if (restoring.absent) return await openPostgresqlRestore(options, target, restoring, context, signal);
  try {
    if (target.kind !== "original") {
      if (restoring.parts !== undefined) throw new HoldfastError("usage", "single tables can only be restored into their own database");
      return new FileRestore(target.path, context);
    }
    return await ImportRestore.open(options, restoring, context, signal);
  } catch (error) {
    throw explainImport(context.name, error);
  }
}

class ImportRestore implements RestoreSession {
  readonly #options: PostgresqlOptions;
  readonly #parts: readonly string[] | undefined;
  readonly #context: DriverContext;
  readonly #access: Access;
  readonly #path: string;
  #examined: Examined | undefined;
  #import: Import | undefined;
  /** Rows that the transaction of the swap has found in the tables, which nobody else could write to then. */
  readonly #replaced = new Map<string, number>();

  static async open(
    options: PostgresqlOptions,
    { parts }: RestoreOptions,
    context: DriverContext,
    signal: AbortSignal,
  ): Promise<ImportRestore> {
    return new ImportRestore(options, parts, context, await resolveAccess(options, "restore", signal));
  }

  private constructor(options: PostgresqlOptions, parts: readonly string[] | undefined, context: DriverContext, access: Access) {
    this.#options = options;
    this.#parts = parts;
    this.#context = context;
    this.#access = access;
    this.#path = join(context.stagingDir, `import-${randomBytes(6).toString("hex")}.db`);
  }

  async #connect(signal: AbortSignal): Promise<SqlSession> {
    const psql = await findPsql(this.#options, signal);
    try {
      return await openSession(this.#access, { psql, waitForMs: this.#options.waitFor ?? defaults.waitForMs }, signal);
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== "source-missing") throw error;
      throw new HoldfastError("refused", `${error.message}, and a SQLite export has rows only`, {
        hint: "Create the database and its tables with the application's own migrations, then restore; or restore a backup of format custom.",
        cause: error,
      });
    }
  }

  async inspect(signal: AbortSignal): Promise<TargetFacts> {
    try {
      await using session = await this.#connect(signal);
      const { version, database } = await readServerFacts(session);
      if ((await requireSaved(session, this.#options, database, signal)) === "standby") throw createStandbyError();
      const sql = `SELECT pg_database_size(current_database()) AS bytes,
        (SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)') AS tables`;
      const [found] = await selectRows(session, sql, z.object({ bytes: z.number(), tables: z.number() }));
      const { bytes = 0, tables = 0 } = found ?? {};
      const what = this.#parts === undefined ? "the tables of the export" : `table ${this.#parts.join(", ")}`;
      return {
        summary: `PostgreSQL ${version}, database ${database}, ${tables} tables, ${describeBytes(bytes)}`,
        present: true,
        bytes,
        method: `replaces the rows of ${what} in one transaction, and sets their sequences; definitions stay as they are`,
        neededBytes: 0,
        notes: [],
        users: [],
      };
    } catch (error) {
      throw explainImport(this.#context.name, error);
    }
  }

  async stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    try {
      await takeExport(entries, this.#path, signal);
      const examined = examineExport(this.#path);
      const chosen = chooseTables(examined.record, this.#parts);
      await using session = await this.#connect(signal);
      this.#import = await matchTables(session, examined.record, chosen);
      this.#examined = examined;
      const keys = new Set(chosen.tables.map(({ schema, table }) => `rows.${formatTableKey(schema, table)}`));
      const { counts, digests, facts } = examined.contents;
      const picked = Object.fromEntries(Object.entries(counts).filter(([key]) => keys.has(key)));
      return { counts: picked, digests: this.#parts === undefined ? digests : {}, facts };
    } catch (error) {
      throw explainImport(this.#context.name, error);
    }
  }

  async assertSaved(saved: SavedMember, signal: AbortSignal): Promise<void> {
    try {
      await using session = await this.#connect(signal);
      const { database } = await readServerFacts(session);
      await assertSameServer(session, this.#options, [], signal);
      await assertTablesSaved(session, saved, database, this.#import?.tables.map(({ target }) => target) ?? []);
    } catch (error) {
      throw explainImport(this.#context.name, error);
    }
  }

  async swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    const work = this.#import;
    if (work === undefined) throw new HoldfastError("internal", "Bug: a swap before anything was staged");
    const file = new Database(this.#path, { readonly: true });
    try {
      await using session = await this.#connect(signal);
      const { database } = await readServerFacts(session);
      const schema = `${undoSchemaPrefix}${createRestoreMark()}`;
      await record({ op: "import", database, schema } satisfies ImportStep);
      await replaceRows(session, schema, {
        tables: work.tables.map(({ target }) => target),
        sequences: work.sequences,
        lockTimeoutMs: this.#options.lockTimeout ?? defaults.lockTimeoutMs,
        fill: async ({ schema: of, table }) => {
          const each = work.tables.find(({ target }) => target.schema === of && target.table === table);
          if (each === undefined) throw new HoldfastError("internal", `Bug: no rows for ${table}`);
          const phase = `loading ${formatTableKey(of, table)}`;
          await fillTable(session, file, each, (bytes) => this.#context.progress({ phase, bytes }), signal);
          const found = await countRows(session, each.target);
          if (found !== each.source.rows) {
            throw new HoldfastError("restore-failed", `${formatTableKey(of, table)} has ${found} rows instead of ${each.source.rows}`);
          }
          this.#replaced.set(formatTableKey(each.source.schema, each.source.table), found);
        },
      });
    } catch (error) {
      throw explainImport(this.#context.name, error);
    } finally {
      file.close();
    }
  }

  async summarize(signal: AbortSignal): Promise<Contents> {
    try {
      await using session = await this.#connect(signal);
      const examined = this.#examined;
      const chosen = examined === undefined ? { tables: [], sequences: [] } : chooseTables(examined.record, this.#parts);
      // Refuses columns that are not there any more.
      if (examined !== undefined) await matchTables(session, examined.record, chosen);
      const counts: Record<string, number> = {};
      for (const { schema, table } of chosen.tables) {
        const key = formatTableKey(schema, table);
        // After the swap the application writes again: what it adds is no fault of the restore.
        counts[`rows.${key}`] = this.#replaced.get(key) ?? (await countRows(session, { schema, table }));
      }
      const digests = this.#parts === undefined ? { columns: digestColumns(chosen.tables) } : {};
      return { counts, digests, facts: examined?.contents.facts ?? {} };
    } catch (error) {
      throw explainImport(this.#context.name, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#path, { force: true });
  }
}
