import { createHash } from "node:crypto";
import type { Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import { SqlScanner } from "./sql-scanner.ts";

/** What one database's part of a dump holds. */
export interface DatabaseContents {
  /** Absent in a dump of one database, which does not say its name. */
  readonly database: string | undefined;
  /** By formatTableKey. */
  readonly rows: ReadonlyMap<string, number>;
  readonly largeObjects: number;
  /** Hash of the definitions, whatever their order; owners and grants apart. */
  readonly schema: string;
  readonly extensions: readonly string[];
  /** Owners, and roles that have been granted something. */
  readonly roles: readonly string[];
  readonly serverVersion: string;
  readonly dumpVersion: string;
}

/** `public.Users`; a part that has a dot or a double quote in it is quoted, so that no two tables have one key. */
export function formatTableKey(schema: string, table: string): string {
  return [schema, table].map((part) => (/[."]/.test(part) ? `"${part.replaceAll('"', '""')}"` : part)).join(".");
}

const identifier = String.raw`(?:"(?:[^"]|"")+"|[^\s".,()]+)`;
const qualified = new RegExp(`^(${identifier})(?:\\.(${identifier}))?`);
const copyPattern = /^COPY /;
const tablePattern = /^CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?/;
const ownerPattern = new RegExp(`^ALTER .* OWNER TO (${identifier})$`, "s");
const grantPattern = /^(GRANT|REVOKE|ALTER DEFAULT PRIVILEGES|SECURITY LABEL) /;
const granteePattern = new RegExp(`\\b(?:TO|FROM|FOR ROLE) (${identifier})`, "g");
const extensionPattern = new RegExp(`^CREATE EXTENSION (?:IF NOT EXISTS )?(${identifier})`);
/** Settings, values of sequences and large objects, statistics: none of them is a definition. */
const noDefinition =
  /^(SET |RESET |BEGIN$|COMMIT$|SELECT pg_catalog\.(set_config|setval|lo_\w+|lowrite|lo_from_bytea)\(|SELECT \* FROM pg_catalog\.pg_restore_\w+_stats?\(|(CREATE|ALTER|DROP|COMMENT ON) DATABASE |REFRESH MATERIALIZED VIEW )/;

function unquote(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
}

function parseTable(text: string): string | undefined {
  const [, first, second] = qualified.exec(text) ?? [];
  if (first === undefined) return undefined;
  return second === undefined ? formatTableKey("", unquote(first)) : formatTableKey(unquote(first), unquote(second));
}

/** The table of a `COPY … FROM stdin`, as it stands there: in SQL. */
export function readCopyTable(copy: string): string | undefined {
  return qualified.exec(copy.replace(copyPattern, ""))?.[0];
}

/** Collects one database's statements. */
export class DatabaseReader {
  readonly #database: string | undefined;
  readonly #rows = new Map<string, number>();
  readonly #hashes: Buffer[] = [];
  readonly #extensions = new Set<string>();
  readonly #roles = new Set<string>();
  #largeObjects = 0;
  serverVersion = "";
  dumpVersion = "";

  constructor(database: string | undefined) {
    this.#database = database;
  }

  addStatement(text: string, sha256: string): void {
    if (text.startsWith("SELECT pg_catalog.lo_create(")) this.#largeObjects += 1;
    const [, owner] = ownerPattern.exec(text) ?? [];
    if (owner !== undefined) this.#roles.add(unquote(owner));
    else if (grantPattern.test(text)) {
      for (const [, role = ""] of text.matchAll(granteePattern)) if (role !== "PUBLIC") this.#roles.add(unquote(role));
    } else if (!noDefinition.test(text)) {
      this.#hashes.push(Buffer.from(sha256, "hex"));
      const [, extension] = extensionPattern.exec(text) ?? [];
      if (extension !== undefined) this.#extensions.add(unquote(extension));
      // Rows of a partitioned table are its partitions'.
      if (tablePattern.test(text) && !/\nPARTITION BY /.test(text)) this.#addRows(text.replace(tablePattern, ""), 0);
    }
  }

  addRows(copy: string, rows: number): void {
    this.#addRows(copy.replace(copyPattern, ""), rows);
  }

  addRole(role: string): void {
    this.#roles.add(role);
  }

  addLargeObjects(count: number): void {
    this.#largeObjects += count;
  }

  #addRows(text: string, rows: number): void {
    const key = parseTable(text);
    if (key === undefined)
      throw new HoldfastError("backup-damaged", `a table's name cannot be read: ${JSON.stringify(text.slice(0, 100))}`);
    this.#rows.set(key, (this.#rows.get(key) ?? 0) + rows);
  }

  finish(): DatabaseContents {
    const schema = createHash("sha256");
    for (const hash of this.#hashes.toSorted((one, other) => one.compare(other))) schema.update(hash);
    return {
      database: this.#database,
      rows: this.#rows,
      largeObjects: this.#largeObjects,
      schema: schema.digest("hex"),
      extensions: [...this.#extensions].toSorted(),
      roles: [...this.#roles].toSorted(),
      serverVersion: this.serverVersion,
      dumpVersion: this.dumpVersion,
    };
  }
}

export interface DumpReading {
  readonly kind: "database" | "cluster";
  readonly databases: readonly DatabaseContents[];
  /** Roles that a dump of a cluster, or of its globals, creates. */
  readonly roles: readonly string[];
}

const connectPattern = /^\\connect (?:-reuse-previous=on )?(.*)$/s;

/**
 * Reads a dump in SQL to its end. Throws `backup-damaged` when it is cut: a cut plain dump loads without an error (F38), and only its
 * trailer tells that it is whole.
 */
export class DumpReader {
  readonly #scanner: SqlScanner;
  readonly #databases: DatabaseContents[] = [];
  readonly #roles: string[] = [];
  #reader: DatabaseReader | undefined;
  #connected: string | undefined;
  #isCluster = false;
  #ended = false;

  constructor() {
    this.#scanner = new SqlScanner({
      onStatement: (text, sha256) => this.#readStatement(text, sha256),
      onCommand: (line) => this.#readCommand(line),
      onComment: (line) => this.#readComment(line),
      onRows: (copy, rows) => {
        if (this.#reader === undefined) throw damaged("rows stand outside of a database");
        this.#reader.addRows(copy, rows);
      },
    });
  }

  push(chunk: Uint8Array): void {
    this.#scanner.push(chunk);
  }

  finish(): DumpReading {
    if (this.#scanner.finish() === "cut" || !this.#ended || this.#reader !== undefined)
      throw damaged("it is cut: the line that tells its end is not there");
    return { kind: this.#isCluster ? "cluster" : "database", databases: this.#databases, roles: this.#roles };
  }

  #readComment(line: string): void {
    const text = line.slice(3);
    if (text === "PostgreSQL database cluster dump") this.#isCluster = true;
    else if (text === "PostgreSQL database dump") {
      if (this.#reader !== undefined) throw damaged("a database's part is cut");
      this.#reader = new DatabaseReader(undefined);
    } else if (text === "PostgreSQL database dump complete") {
      if (this.#reader === undefined) throw damaged("a database's part has an end and no beginning");
      // A database that the dump creates is connected to within its own part.
      this.#databases.push({ ...this.#reader.finish(), database: this.#connected });
      this.#reader = undefined;
      this.#ended = !this.#isCluster;
    } else if (text === "PostgreSQL database cluster dump complete") this.#ended = true;
    else if (this.#reader !== undefined) {
      const [, what, version] = /^Dumped (from database|by pg_dump) version (.*)$/.exec(text) ?? [];
      if (what === "from database") this.#reader.serverVersion = version ?? "";
      else if (what !== undefined) this.#reader.dumpVersion = version ?? "";
    }
  }

  #readCommand(line: string): void {
    const [, target] = connectPattern.exec(line) ?? [];
    if (target !== undefined) this.#connected = parseConnectTarget(target.trim());
  }

  #readStatement(text: string, sha256: string): void {
    if (this.#ended) throw damaged("something stands after its end");
    const [, role] = new RegExp(`^CREATE ROLE (${identifier})$`).exec(text) ?? [];
    if (this.#reader === undefined) {
      if (role !== undefined) this.#roles.push(unquote(role));
    } else this.#reader.addStatement(text, sha256);
  }
}

/** `postgres`, `"My Db"`, or `"dbname='it''s'"` in the quoting of connection strings. */
export function parseConnectTarget(target: string): string {
  const text = unquote(target);
  const [, value] = /^dbname='(.*)'$/s.exec(text) ?? [];
  return value === undefined ? text : value.replaceAll(/\\(.)/gs, "$1");
}

function damaged(why: string): HoldfastError {
  return new HoldfastError("backup-damaged", why, { hint: "Use another backup; `holdfast verify --all` tells which ones are good." });
}

/** What a member holds, in the words of a manifest: with several databases each key names its database. Lists of names are JSON. */
export function createContents(
  databases: readonly DatabaseContents[],
  naming: "plain" | "by-database",
  globals: readonly string[] = [],
): Contents {
  const counts: Record<string, number> = {};
  const digests: Record<string, string> = {};
  const facts: Record<string, string> = {};
  for (const each of databases) {
    const name = naming === "plain" ? undefined : (each.database ?? "");
    const rowPrefix = name === undefined ? "rows." : `rows.${/[."]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name}.`;
    const suffix = name === undefined ? "" : `.${name}`;
    for (const [table, rows] of each.rows) counts[rowPrefix + table] = rows;
    counts[`largeObjects${suffix}`] = each.largeObjects;
    digests[`schema${suffix}`] = each.schema;
    if (each.extensions.length > 0) facts[`extensions${suffix}`] = JSON.stringify(each.extensions);
    if (each.roles.length > 0) facts[`roles${suffix}`] = JSON.stringify(each.roles);
    facts["serverVersion"] = each.serverVersion;
    facts["dumpVersion"] = each.dumpVersion;
  }
  if (globals.length > 0) facts["globalRoles"] = JSON.stringify(globals);
  return { counts, digests, facts };
}
