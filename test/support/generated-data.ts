import Database from "better-sqlite3";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fc } from "./properties.ts";
import { openPostgres } from "./postgres.ts";
import { openRedis } from "./redis.ts";
import { readTree } from "./small-world.ts";

/** A datastore whose whole state can be made, as a property test generates it, and read as text. */
export interface GeneratedStore<State> extends AsyncDisposable {
  readonly kind: string;
  readonly options: unknown;
  /** Undefined: it is not there at all. */
  make(state: State | undefined): Promise<void>;
  /** Content, modes, owners, absence. */
  read(): string;
  /** A state as a restore would leave it: what of the state before decides. */
  follow?(state: State, before: State): State;
}

const mode = fc.constantFrom(0o600, 0o640, 0o644, 0o755, 0o2750);
const owner = fc.constantFrom(0, 1234, 65_534);
const text = fc.string({ unit: "binary", maxLength: 40 });

interface GeneratedFile {
  readonly path: string;
  readonly content: string;
  readonly mode: number;
  readonly owner: number;
  readonly form: "file" | "link" | "directory";
}

export const generatedFiles: fc.Arbitrary<readonly GeneratedFile[]> = fc.uniqueArray(
  fc.record({
    path: fc.constantFrom("a.bin", "b.bin", "ü.bin", "-rf.bin", "sub/c.bin", "sub/deep/d", "e f"),
    content: text,
    mode,
    owner,
    form: fc.constantFrom("file" as const, "file" as const, "link" as const, "directory" as const),
  }),
  { selector: ({ path }) => path, maxLength: 6 },
);

function writeFiles(root: string, files: readonly GeneratedFile[]): void {
  for (const { path, content, mode: bits, owner: id, form } of files) {
    const place = join(root, path);
    mkdirSync(dirname(place), { recursive: true, mode: 0o755 });
    if (form === "link") {
      symlinkSync(`to-${content.length}`, place);
      continue;
    }
    if (form === "directory") mkdirSync(place);
    else writeFileSync(place, content);
    chownSync(place, id, id);
    // After the owner: changing that takes set-id bits away.
    chmodSync(place, form === "directory" ? bits | 0o700 : bits);
  }
}

const makeParent = (): string => mkdtempSync(join(tmpdir(), "generated-"));
const removeLater = (parent: string) => async () => rmSync(parent, { recursive: true, force: true });

export async function openGeneratedTree(): Promise<GeneratedStore<readonly GeneratedFile[]>> {
  const parent = makeParent();
  const root = join(parent, "tree");
  return {
    kind: "files",
    options: { root, optional: true, setId: true },
    async make(files) {
      rmSync(root, { recursive: true, force: true });
      if (files === undefined) return;
      mkdirSync(root, { mode: 0o750 });
      writeFiles(root, files);
    },
    read: () => readTree(parent),
    [Symbol.asyncDispose]: removeLater(parent),
  };
}

export async function openGeneratedLoose(): Promise<GeneratedStore<readonly GeneratedFile[]>> {
  const parent = makeParent();
  const withoutSetId = (files: readonly GeneratedFile[]): readonly GeneratedFile[] =>
    files.filter(({ path, form }) => /^[^/]*\.bin$/.test(path) && form === "file").map((file) => ({ ...file, mode: file.mode & 0o777 }));
  return {
    kind: "files",
    options: { include: [join(parent, "*.bin")], optional: true },
    async make(files) {
      rmSync(parent, { recursive: true, force: true });
      mkdirSync(parent, { mode: 0o755 });
      writeFileSync(join(parent, "other"), "not backed up");
      writeFiles(parent, withoutSetId(files ?? []));
    },
    read: () => readTree(parent),
    [Symbol.asyncDispose]: removeLater(parent),
  };
}

interface GeneratedDatabase {
  readonly tables: Readonly<Record<string, readonly (readonly (string | number | null)[])[]>>;
  readonly mode: number;
  readonly owner: number;
  readonly journal: "wal" | "delete";
}

const rows = fc.array(
  fc.tuple(
    fc.integer(),
    fc.oneof(
      fc.constant(null),
      fc.string({ unit: "grapheme", maxLength: 20 }).map((value) => value.replaceAll("\0", "")),
    ),
  ),
  { maxLength: 8 },
);
const tables = fc.dictionary(fc.constantFrom("note", "Mixed Case", "empty", 'quo"ted'), rows, { minKeys: 1, noNullPrototype: true });

export const generatedDatabase: fc.Arbitrary<GeneratedDatabase> = fc.record({
  tables,
  mode: fc.constantFrom(0o600, 0o640, 0o664),
  owner,
  journal: fc.constantFrom("wal" as const, "delete" as const),
});

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export async function openGeneratedSqlite(): Promise<GeneratedStore<GeneratedDatabase>> {
  const parent = makeParent();
  chmodSync(parent, 0o777);
  const path = join(parent, "data.db");
  return {
    kind: "sqlite",
    options: { path, optional: true },
    async make(state) {
      for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(path + suffix, { force: true });
      if (state === undefined) return;
      const database = new Database(path);
      database.pragma(`journal_mode = ${state.journal}`);
      for (const [name, values] of Object.entries(state.tables)) {
        database.exec(`CREATE TABLE ${quote(name)} (a, b)`);
        for (const row of values) database.prepare(`INSERT INTO ${quote(name)} VALUES (?, ?)`).run(row);
      }
      database.close();
      chownSync(path, state.owner, state.owner);
      chmodSync(path, state.mode);
    },
    // The file that is there keeps its mode and owner.
    follow: (state, before) => ({ ...state, mode: before.mode, owner: before.owner }),
    read() {
      const files = readTree(parent).replaceAll(/ [0-9a-f]{64}$/gm, "");
      if (!existsSync(path)) return files;
      const database = new Database(path, { readonly: true });
      try {
        const found = database.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name").all() as { name: string; sql: string }[];
        const all = found.map(({ name, sql }) => [
          sql,
          database
            .prepare(`SELECT a, b FROM ${quote(name)} ORDER BY rowid`)
            .raw()
            .all(),
        ]);
        return JSON.stringify([files, all]);
      } finally {
        database.close();
        for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix, { force: true });
      }
    },
    [Symbol.asyncDispose]: removeLater(parent),
  };
}

interface GeneratedServed {
  readonly tables: GeneratedDatabase["tables"];
  readonly owner: "ann" | "bob";
}

export const generatedServed: fc.Arbitrary<GeneratedServed> = fc.record({ tables, owner: fc.constantFrom("ann" as const, "bob" as const) });

const literal = (value: string | number | null): string =>
  value === null ? "NULL" : typeof value === "number" ? String(value) : `'${value.replaceAll("'", "''")}'`;

export async function openGeneratedPostgres(options: Readonly<Record<string, unknown>>): Promise<GeneratedStore<GeneratedServed>> {
  const server = await openPostgres(15);
  server.execute("CREATE ROLE ann; CREATE ROLE bob");
  return {
    kind: "postgresql",
    options: server.options({ database: "shop", binDir: server.binDir, optional: true, ...options }),
    async make(state) {
      server.execute("DROP DATABASE IF EXISTS shop WITH (FORCE)");
      if (state === undefined) return;
      // A database that is there keeps its owner.
      server.execute("CREATE DATABASE shop OWNER ann");
      const statements = Object.entries(state.tables).flatMap(([name, values]) => [
        `CREATE TABLE ${quote(name)} (id serial, a bigint, b text)`,
        `ALTER TABLE ${quote(name)} OWNER TO ${state.owner}`,
        ...values.map((row) => `INSERT INTO ${quote(name)} (a, b) VALUES (${row.map(literal).join(", ")})`),
      ]);
      server.execute(["SET standard_conforming_strings = on", ...statements, ""].join(";\n"), "shop");
    },
    read() {
      const databases = server.execute(
        "SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datname !~ '^(template|postgres)' ORDER BY 1",
      );
      if (!databases.includes("shop|")) return databases;
      const names = server.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1",
        "shop",
      );
      return [
        databases,
        server.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1", "shop"),
        ...names
          .split("\n")
          .filter((name) => name !== "")
          .map((name) =>
            server.execute(
              `SELECT pg_get_userbyid(relowner), relname FROM pg_class WHERE oid = '${quote(name)}'::regclass;
               SELECT id, a, to_json(b) FROM ${quote(name)} ORDER BY id; SELECT last_value, is_called FROM ${quote(`${name}_id_seq`)}`,
              "shop",
            ),
          ),
      ].join("\n");
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

export const generatedKeys: fc.Arbitrary<readonly (readonly string[])[]> = fc.uniqueArray(
  fc.oneof(
    fc.tuple(fc.constant("SET"), fc.constantFrom("a", "b", "c d"), fc.string({ minLength: 1, maxLength: 30 })),
    fc.tuple(fc.constant("RPUSH"), fc.constantFrom("l", "m"), fc.string({ minLength: 1 }), fc.string({ minLength: 1 })),
    fc.tuple(fc.constant("HSET"), fc.constantFrom("h", "i"), fc.string({ minLength: 1 }), fc.string({ minLength: 1 })),
    fc.tuple(fc.constant("ZADD"), fc.constant("z"), fc.integer().map(String), fc.string({ minLength: 1 })),
  ),
  { selector: ([, key]) => key, minLength: 1, maxLength: 8 },
);

export async function openGeneratedRedis(config: readonly string[]): Promise<GeneratedStore<readonly (readonly string[])[]>> {
  const server = await openRedis({ config });
  return {
    kind: "redis",
    options: server.options({ optional: true, waitFor: "10s" }),
    async make(commands) {
      server.call("FLUSHALL");
      for (const command of commands ?? []) server.call(...command);
    },
    read: () => server.readDigest(),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
