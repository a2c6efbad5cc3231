import { emptyContents, type Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import { resolveIdentity } from "../../base/identity.ts";
import type { DriverContext, RestoreSession, StoredEntry, TargetFacts } from "../contract.ts";
import type { Access } from "./connection.ts";
import type { PostgresqlOptions } from "./options.ts";
import { createCountedContents, type CountedDatabase } from "./restore-contents.ts";
import { runExplained } from "./restore-explain.ts";
import type { DumpNeeds } from "./needs-reader.ts";
import { findMissingRoles } from "./restore-needs.ts";
import { readParts, type DumpPart } from "./restore-parts.ts";
import { RoleStatements } from "./restore-roles.ts";
import { shapeFromStatements, shapePlainly } from "./restore-shape.ts";
import { openDatabase, type Server } from "./restore-sql.ts";
import { examineDump, stageDatabase } from "./restore-stage.ts";
import { quoteName } from "./quote-sql.ts";
import { nobody, openScratchCluster, type ScratchCluster } from "./scratch-cluster.ts";
import { findTools } from "./tools.ts";
import { countRows } from "./restore-count.ts";

/** A drill: the dump is loaded into a server of our own, which is gone with the session. */
export class ScratchRestore implements RestoreSession {
  readonly #options: PostgresqlOptions;
  readonly #path: string;
  readonly #context: DriverContext;
  readonly #databases: { readonly name: string; readonly database: string | undefined }[] = [];
  #naming: "plain" | "by-database" = "plain";
  #expected: Contents | undefined;
  #cluster: ScratchCluster | undefined;

  constructor(options: PostgresqlOptions, path: string, context: DriverContext) {
    this.#options = options;
    this.#path = path;
    this.#context = context;
  }

  inspect(): Promise<TargetFacts> {
    return Promise.resolve({
      summary: "a PostgreSQL server of our own",
      present: false,
      bytes: 0,
      method: "loads a server of our own, which is removed afterwards",
      neededBytes: 0,
      notes: [],
      users: [],
    });
  }

  stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    return runExplained("drill", this.#context.name, () => this.#stage(entries, signal), signal);
  }

  async #stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    let expected: Contents | undefined;
    async function* watch(): AsyncGenerator<StoredEntry, void, undefined> {
      for await (const entry of entries) {
        expected ??= entry.contents;
        yield entry;
      }
    }
    const identity = process.geteuid?.() === 0 ? ((await resolveIdentity(nobody.uid, nobody, signal)) ?? null) : null;
    const roles = new RoleStatements();
    const counted: CountedDatabase[] = [];
    for await (const part of readParts(watch(), this.#context, { identity, large: "spool" }, roles, signal)) {
      if (part.origin === "cluster") this.#naming = "by-database";
      counted.push({ database: part.dump.database, contents: await this.#load(part, roles, signal) });
    }
    if (counted.length > 1) this.#naming = "by-database";
    this.#expected = expected;
    return createCountedContents(counted, this.#naming, expected);
  }

  async #load(part: DumpPart, roles: RoleStatements, signal: AbortSignal): Promise<CountedDatabase["contents"]> {
    const name = `drill_${this.#databases.length + 1}`;
    const local: PostgresqlOptions = { ...this.#options, via: undefined };
    const bare: Access = { connection: { settings: {} }, via: undefined, identity: null, home: undefined };
    const first = await examineDump({ access: bare, psql: "psql" }, local, part.dump, this.#major, signal);
    const server = await this.#start(local, Math.max(first.toolset.major, first.needs.major ?? 0), signal);
    // psql of the server's version knows everything of a plain dump.
    const examined = { ...first, toolset: await findTools(local, "pg_restore", this.#major, signal) };
    this.#context.progress({ phase: "loading" });
    await using session = await openDatabase(server, "postgres", signal);
    await prepare(server, examined.needs, roles, signal);
    const shape = shapeFromStatements([...part.statements, ...examined.needs.statements]);
    const { progress } = this.#context;
    const settings = { name, jobs: this.#options.jobs, shape: shapePlainly(examined.needs.encoding), progress };
    const create = (sql: string): Promise<unknown> => session.query(sql);
    // As the dump has it, where this machine knows its locale.
    const like =
      shape === undefined
        ? undefined
        : await create(shape.create(name)).then(
            () => shape,
            () => undefined,
          );
    const given = like === undefined ? settings : { ...settings, shape: { ...like, create: () => "SELECT 1", grant: () => [] } };
    const staged = await stageDatabase(server, session, examined, given, signal);
    this.#databases.push({ name, database: part.dump.database });
    return staged.contents;
  }

  get #major(): number {
    return this.#cluster?.major ?? 0;
  }

  async #start(options: PostgresqlOptions, major: number, signal: AbortSignal): Promise<Server> {
    if (this.#cluster === undefined) {
      const tools = await findTools(options, "initdb", major, signal);
      if (tools.binDir === undefined) throw new HoldfastError("internal", "Tools without a directory");
      this.#context.progress({ phase: "starting a scratch server" });
      this.#cluster = await openScratchCluster({ binDir: tools.binDir, directory: this.#path }, signal);
    } else if (this.#cluster.major < major) {
      throw new HoldfastError("restore-failed", `the dumps are of several versions: PostgreSQL ${this.#cluster.major} and ${major}`);
    }
    return createServer(this.#cluster);
  }

  swap(): Promise<void> {
    return Promise.resolve();
  }

  async summarize(signal: AbortSignal): Promise<Contents> {
    if (this.#cluster === undefined) return emptyContents;
    const server = createServer(this.#cluster);
    const counted: CountedDatabase[] = [];
    this.#context.progress({ phase: "counting" });
    for (const { name, database } of this.#databases) {
      await using session = await openDatabase(server, name, signal);
      counted.push({ database, contents: await countRows(session) });
    }
    return createCountedContents(counted, this.#naming, this.#expected);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster?.[Symbol.asyncDispose]();
  }
}

function createServer(cluster: ScratchCluster): Server {
  const connection = { host: cluster.host, port: String(cluster.port), user: cluster.user, database: "postgres", settings: {} };
  const access: Access = { connection, via: undefined, identity: cluster.identity, home: "/nonexistent" };
  return { access, psql: `${cluster.binDir}/psql` };
}

/** Whoever owns something in the dump is there, and may not log in; tablespaces are directories of ours. */
async function prepare(server: Server, needs: DumpNeeds, roles: RoleStatements, signal: AbortSignal): Promise<void> {
  await using session = await openDatabase(server, "postgres", signal);
  for (const role of await findMissingRoles(session, [...new Set([...needs.roles, ...roles.roles])]))
    await session.query(`CREATE ROLE ${quoteName(role)}`);
  for (const tablespace of needs.tablespaces) {
    const present = await session.query("SELECT FROM pg_tablespace WHERE spcname = $1", [tablespace]);
    if (present.length > 0) continue;
    await session.query("SET allow_in_place_tablespaces = on");
    await session.query(`CREATE TABLESPACE ${quoteName(tablespace)} LOCATION ''`);
  }
}
