import { emptyContents, type Contents } from "../../base/contents.ts";
import { describeCause, HoldfastError } from "../../base/errors.ts";
import type { DriverContext, RestoreOptions, RestoreSession, SavedMember, StoredEntry, SwapStep, TargetFacts } from "../contract.ts";
import { describeUser } from "./connection.ts";
import { matchesPattern } from "./entry-names.ts";
import type { PostgresqlOptions } from "./options.ts";
import { createCountedContents, type CountedDatabase } from "./restore-contents.ts";
import { runExplained } from "./restore-explain.ts";
import { inspectServer, requireWhole } from "./restore-inspect.ts";
import { createRestoreMark, createSideName } from "./restore-names.ts";
import { requireNeeds } from "./restore-needs.ts";
import { readParts, type DumpPart } from "./restore-parts.ts";
import { readProperties } from "./restore-properties.ts";
import { RoleStatements } from "./restore-roles.ts";
import { assertSameServer } from "./restore-same-server.ts";
import { listSavedDatabases } from "./restore-saved.ts";
import { shapeFromStatements, shapeLike, shapePlainly, type DatabaseShape } from "./restore-shape.ts";
import { openMaintenance, type Server } from "./restore-sql.ts";
import { examineDump, readMajor, stageDatabase, type StagedDatabase } from "./restore-stage.ts";
import { chooseDatabases, readServerFacts, readsManyDatabases } from "./server-facts.ts";
import type { SqlSession } from "./sql-session.ts";
import { requireSameDatabase, swapDatabase } from "./swap-database.ts";
import { dropDatabase, findOid } from "./swap-roll-back.ts";
import type { CreateStep } from "./swap-steps.ts";

interface Replacement {
  readonly database: string;
  /** Of the one that has its name when the restore begins. */
  readonly oid: string | null;
  readonly staged: StagedDatabase | undefined;
  readonly shape: DatabaseShape | undefined;
}

/** A restore of one database, or of several, beside those that are there; then they change names. */
export class DatabaseRestore implements RestoreSession {
  readonly #options: PostgresqlOptions;
  readonly #restoring: RestoreOptions;
  readonly #context: DriverContext;
  readonly #server: Server;
  readonly #mark = createRestoreMark();
  readonly #replacements: Replacement[] = [];
  #contents: Contents = emptyContents;
  #swapped = false;

  constructor(options: PostgresqlOptions, restoring: RestoreOptions, context: DriverContext, server: Server) {
    this.#options = options;
    this.#restoring = restoring;
    this.#context = context;
    this.#server = server;
  }

  get #ownDatabase(): string {
    return this.#server.access.connection.database ?? describeUser(this.#server.access);
  }

  inspect(signal: AbortSignal): Promise<TargetFacts> {
    return this.#explained(signal, () => inspectServer(this.#server, this.#options, this.#ownDatabase, this.#restoring, signal));
  }

  stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    return this.#explained(signal, () => this.#stage(entries, signal));
  }

  async #stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    if (this.#restoring.absent) {
      await this.#chooseAbsent(signal);
      return emptyContents;
    }
    let expected: Contents | undefined;
    async function* watch(): AsyncGenerator<StoredEntry, void, undefined> {
      for await (const entry of entries) {
        expected ??= entry.contents;
        yield entry;
      }
    }
    const counted: CountedDatabase[] = [];
    const roles = new RoleStatements();
    let isCluster = false;
    for await (const part of readParts(
      watch(),
      this.#context,
      { identity: this.#server.access.identity, large: "stream" },
      roles,
      signal,
    )) {
      isCluster ||= part.origin === "cluster";
      const database = this.#chooseTarget(part);
      counted.push({ database: part.dump.database, contents: await this.#stagePart(part, database, roles, signal) });
    }
    if (this.#replacements.length === 0) throw new HoldfastError("backup-incomplete", "the backup holds roles, and no database");
    this.#contents = createCountedContents(counted, isCluster || counted.length > 1 ? "by-database" : "plain", expected);
    return this.#contents;
  }

  /** What an absence puts aside: databases that the options mean, but never those that every server has. */
  async #chooseAbsent(signal: AbortSignal): Promise<void> {
    await using session = await openMaintenance(this.#server, readsManyDatabases(this.#options) ? [] : [this.#ownDatabase], signal);
    for (const database of await this.#listPresent(session)) {
      const oid = (await findOid(session, database)) ?? null;
      if (oid !== null) requireWhole(this.#options, database, this.#restoring);
      this.#replacements.push({ database, oid, staged: undefined, shape: undefined });
    }
  }

  async #listPresent(session: SqlSession): Promise<readonly string[]> {
    if (!readsManyDatabases(this.#options)) return [this.#ownDatabase];
    const { databases } = chooseDatabases(this.#options, await readServerFacts(session));
    return databases.flatMap(({ name, template }) => (template || name === "postgres" ? [] : [name]));
  }

  /** A database of the dump that is there, and that the options do not mean any more, is one that is not saved first. */
  async #requireMeant(session: SqlSession, database: string): Promise<void> {
    const { format, excludeDatabases } = this.#options;
    const facts = await readServerFacts(session);
    const present = facts.databases.find(({ name }) => name === database);
    // pg_dumpall takes templates, too.
    const isOfCluster = format === "cluster" && present?.connectable === true && !matchesPattern(database, excludeDatabases);
    const isMeant = readsManyDatabases(this.#options)
      ? chooseDatabases(this.#options, facts).databases.some(({ name }) => name === database)
      : database === this.#ownDatabase;
    if (isMeant || isOfCluster) return;
    throw new HoldfastError(
      "target-unsafe",
      `the database ${database} of the backup is there, and the datastore does not back it up now: what is in it would be saved by nobody`,
      {
        hint: "Let the datastore mean it again (databases, excludeDatabases; open to connections, no template), or drop or rename it first.",
      },
    );
  }

  /** A single database goes where the options say, which may have another name; several keep their own. */
  #chooseTarget({ dump, origin }: DumpPart): string {
    const isSeveral = origin === "cluster" || this.#options.databases !== undefined || this.#options.format === "cluster";
    if (!isSeveral) {
      if (this.#replacements.length === 0) return this.#ownDatabase;
      throw new HoldfastError("target-unsafe", "the backup holds several databases, and the configuration names one", {
        hint: "Set `databases: all`, or name those that are to be restored.",
      });
    }
    if (dump.database === undefined) throw new HoldfastError("backup-incomplete", `${dump.name} does not say of which database it is`);
    return dump.database;
  }

  async #stagePart(part: DumpPart, database: string, roles: RoleStatements, signal: AbortSignal): Promise<StagedDatabase["contents"]> {
    const name = createSideName(database, "new", this.#mark);
    await using session = await openMaintenance(this.#server, [database], signal);
    const major = await readMajor(session);
    const examined = await examineDump(this.#server, this.#options, part.dump, major, signal);
    const added = await roles.addMissing(session);
    if (added.length > 0) this.#context.progress({ phase: `adding the roles ${added.join(", ")}` });
    await requireNeeds(session, examined.needs, major);
    const old = await readProperties(session, database);
    // Every server has them, and nobody has put anything into them.
    if (old !== undefined && part.origin === "cluster" && examined.needs.isEmpty && part.statements.length === 0)
      return { rows: new Map(), largeObjects: 0 };
    if (old !== undefined) {
      await this.#requireMeant(session, database);
      requireWhole(this.#options, database, this.#restoring);
    }
    const oid = old?.oid ?? null;
    const shape =
      old === undefined
        ? (shapeFromStatements([...part.statements, ...examined.needs.statements]) ?? shapePlainly(examined.needs.encoding))
        : shapeLike(old);
    await this.#restoring.record?.({ op: "create", database: name } satisfies CreateStep);
    // Closing removes what is half-made, too.
    const at =
      this.#replacements.push({ database, oid, staged: { name, oid: "", contents: { rows: new Map(), largeObjects: 0 } }, shape }) - 1;
    const staged = await stageDatabase(
      this.#server,
      session,
      examined,
      { name, shape, jobs: this.#options.jobs, progress: this.#context.progress },
      signal,
    );
    this.#replacements[at] = { database, oid, staged, shape: old === undefined ? shape : undefined };
    return staged.contents;
  }

  assertSaved(saved: SavedMember, signal: AbortSignal): Promise<void> {
    return this.#explained(signal, async () => {
      const databases = saved.status === "absent" ? new Set<string>() : listSavedDatabases(saved);
      const made = this.#replacements.flatMap(({ staged }) => staged?.name ?? []);
      const replaced: string[] = [];
      for (const { database, oid } of this.#replacements) {
        await using session = await openMaintenance(this.#server, [database], signal);
        const present = await findOid(session, database);
        if (present === undefined) continue;
        requireSameDatabase({ name: database, oid: present }, oid);
        await assertSameServer(session, this.#options, made, signal);
        replaced.push(database);
      }
      const unsaved = replaced.filter((database) => !databases.has(database));
      if (unsaved.length > 0) {
        throw new HoldfastError("target-unsafe", `${unsaved.join(", ")} would be replaced, and is not in the backup of what is there now`, {
          hint: "Let the datastore mean what is restored (database, databases, excludeDatabases), or drop or rename it first.",
        });
      }
    });
  }

  swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    return this.#explained(signal, () => this.#swap(record, signal));
  }

  async #swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    if (this.#replacements.length === 0 && !this.#restoring.absent)
      throw new HoldfastError("internal", "Bug: a restore was swapped before it was staged");
    const begin = async (step: SwapStep): Promise<void> => {
      this.#swapped = true;
      await record(step);
    };
    for (const { database, oid, staged, shape } of this.#replacements) {
      await using session = await openMaintenance(this.#server, [database], signal);
      await swapDatabase(session, { database, oid, staged, shape, mark: this.#mark }, begin, signal);
    }
  }

  /** A rename changes no row: what was counted before anybody could connect is what is there. */
  summarize(signal: AbortSignal): Promise<Contents> {
    return this.#explained(signal, async () => {
      for (const { database, staged } of this.#replacements) {
        await using session = await openMaintenance(this.#server, [database], signal);
        if ((await findOid(session, database)) !== staged?.oid)
          throw new HoldfastError("restore-failed", `${database} is not the database that was restored`);
      }
      return this.#contents;
    });
  }

  #explained<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    return runExplained("restore", this.#context.name, act, signal);
  }

  /** After the swap has begun what is where is the roll-back's business. */
  async [Symbol.asyncDispose](): Promise<void> {
    const names = this.#swapped ? [] : this.#replacements.flatMap(({ staged }) => staged?.name ?? []);
    if (names.length === 0) return;
    const signal = AbortSignal.timeout(closeMs);
    try {
      await using session = await openMaintenance(this.#server, names, signal);
      for (const name of names) await dropDatabase(this.#server, session, name, signal);
    } catch (error) {
      // Recorded, where a journal is kept: the roll-back tries again.
      if (this.#restoring.record !== undefined) return;
      throw new HoldfastError("restore-failed", `Cannot remove the staging database ${names.join(", ")}: ${describeCause(error)}`, {
        cause: error,
      });
    }
  }
}

const closeMs = 60_000;
