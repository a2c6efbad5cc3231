import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { checkAll, dumpAll, makeContext, makeTestDirectory, quiet, readEntry } from "../../../test/support/datastore.ts";
import { findFreePort } from "../../../test/support/free-port.ts";
import { majors, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import { keysConflict } from "../../base/concurrency-key.ts";
import { postgresqlDriver } from "./postgresql.ts";

const oddName = `o"d'd \\ $x;-é .`;
const longName = "-é".repeat(21);
const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

for (const major of majors) {
  describe(`PostgreSQL ${major}, several databases and whole servers`, () => {
    let server: PostgresServer;
    before(async () => {
      server = await openPostgres(major);
      server.execute(`create role app login password 'geheim'; create role "Odd Role"`);
      for (const name of ["crm", "Web", oddName, longName]) {
        server.execute(`create database ${quote(name)} owner app`);
        server.execute(
          `create table t (x int); insert into t select generate_series(1, ${name.length}); grant select on t to "Odd Role"`,
          name,
        );
      }
      server.execute("create database closed allow_connections false");
    });
    after(() => server[Symbol.asyncDispose]());

    async function dump(t: Parameters<typeof makeTestDirectory>[0], extra: Readonly<Record<string, unknown>>) {
      const directory = makeTestDirectory(t);
      const { entries, notes } = await dumpAll(postgresqlDriver, server.options(extra), directory);
      const { contents } = await checkAll(postgresqlDriver, entries, directory);
      return { entries, notes, contents, names: entries.map(({ name }) => name) };
    }

    test("F42 all databases, each in a file of its own, with odd names; later ones are included", async (t) => {
      const { names, notes, contents } = await dump(t, { databases: "all" });
      assert.deepEqual(
        names,
        ["Web.backup", "crm.backup", `${longName.replace("-", "%2D")}.backup`, `o"d'd %5C $x;-é ..backup`, "postgres.backup"].toSorted(),
      );
      assert.deepEqual(
        notes.filter(({ level }) => level !== "info").map(({ code }) => code),
        ["database-closed"],
      );
      assert.equal(contents.counts["rows.crm.public.t"], 3);
      assert.equal(contents.counts[`rows.${quote(oddName)}.public.t`], oddName.length);
      assert.equal(contents.counts[`rows.${longName}.public.t`], longName.length);
      server.execute("create database later");
      try {
        assert.equal(
          (await dump(t, { databases: "all", excludeDatabases: ["crm", "W*", "-*", "closed"] })).names.includes("later.backup"),
          true,
        );
      } finally {
        server.execute("drop database later");
      }
    });

    test("databases by pattern; a name that is not there is a failure, unless it is optional", async (t) => {
      assert.deepEqual((await dump(t, { databases: ["c*", "Web"], excludeDatabases: ["closed"] })).names, ["Web.backup", "crm.backup"]);
      assert.deepEqual((await dump(t, { databases: ["web*", "crm"] })).names, ["crm.backup"]);
      await assert.rejects(dump(t, { databases: ["crm", "web"] }), {
        code: "source-missing",
        message: /^Cannot dump "member": there is no database "web"/,
      });
      await assert.rejects(dump(t, { databases: ["nothing*"] }), { code: "source-missing" });
      const { names, notes } = await dump(t, { databases: ["crm", "web"], optional: true });
      assert.deepEqual(names, ["crm.backup"]);
      assert.ok(notes.some(({ code, level }) => code === "database-missing" && level === "warning"));
    });

    test("F40 roles beside the databases, with and without their passwords", async (t) => {
      const { names, entries, contents } = await dump(t, { databases: ["crm"], globals: "with-passwords" });
      assert.deepEqual(names, ["globals.sql", "crm.backup"]);
      assert.match(String(await readEntry(entries[0])), /ALTER ROLE app WITH .* PASSWORD 'SCRAM-SHA-256/);
      assert.deepEqual(JSON.parse(String(contents.facts["globalRoles"])), ["Odd Role", "app", "postgres"]);
      assert.deepEqual(JSON.parse(String(contents.facts["roles"])), ["Odd Role", "postgres"]);
      const without = await dump(t, { database: "crm", globals: "without-passwords" });
      assert.doesNotMatch(String(await readEntry(without.entries[0])), /PASSWORD/);
      assert.equal(without.contents.counts["rows.public.t"], 3);
    });

    test("W1 a whole server by pg_dumpall, under the name that is asked for", async (t) => {
      const { names, contents, entries } = await dump(t, { format: "cluster", entry: "postgresql_backup.sql" });
      assert.deepEqual(names, ["postgresql_backup.sql"]);
      assert.equal(contents.counts["rows.crm.public.t"], 3);
      assert.equal(contents.counts[`rows.${quote(oddName)}.public.t`], oddName.length);
      assert.deepEqual(postgresqlDriver.deriveOptions(entries), {
        url: `postgresql://postgres@127.0.0.1:${server.port}/`,
        format: "cluster",
      });
      const less = await dump(t, { format: "cluster", excludeDatabases: ["Web", "o*"] });
      assert.deepEqual(less.names, ["cluster.sql"]);
      assert.deepEqual(
        Object.keys(less.contents.counts).filter((name) => name.startsWith("rows.")),
        [`rows.${longName}.public.t`, "rows.crm.public.t"],
      );
    });

    test("F42 pg_dumpall refuses names with line breaks, and the failure says what to do; databases: all has them", async (t) => {
      server.execute(`create database "line\nbreak"`);
      try {
        await assert.rejects(dump(t, { format: "cluster" }), { code: "source-unreadable", hint: /databases: all/ });
        assert.ok((await dump(t, { databases: "all" })).names.includes("line%0Abreak.backup"));
      } finally {
        server.execute(`drop database "line\nbreak"`);
      }
    });

    test("options for a restore without a config come from the entries, without a password", async (t) => {
      const { entries } = await dump(t, { databases: ["crm", "Web"] });
      assert.deepEqual(postgresqlDriver.deriveOptions(entries), {
        url: `postgresql://postgres@127.0.0.1:${server.port}/`,
        databases: ["Web", "crm"],
        format: "custom",
      });
      const one = await dump(t, { database: oddName, format: "plain" });
      assert.deepEqual(postgresqlDriver.deriveOptions(one.entries), {
        url: `postgresql://postgres@127.0.0.1:${server.port}/${encodeURIComponent(oddName)}`,
        format: "plain",
      });
      assert.equal(JSON.stringify([entries, one.entries]).includes("sup3r"), false);
    });

    test("one database has one key by every address; a server conflicts with its databases; another server does not", async () => {
      const identify = (options: unknown) => postgresqlDriver.configure(options).identify(quiet);
      const key = await identify(server.options({ database: "crm" }));
      const ways = [
        server.socketOptions({ database: "crm" }),
        server.options({ database: "crm", host: "localhost" }),
        { url: `postgresql://postgres@localhost:${server.port}/crm?host=${server.socketDirectory}`, waitFor: "0s" },
      ];
      for (const options of ways) assert.equal((await identify(options)).id, key.id);
      assert.equal(keysConflict(key, await identify(server.options({ database: "Web" }))), false);
      assert.equal(keysConflict(key, await identify(server.options({ format: "cluster" }))), true);
      assert.equal(keysConflict(key, await identify(server.options({ databases: ["Web"] }))), true);
      const unknown = await identify(server.options({ database: "crm", password: "wrong", host: "localhost" }));
      assert.notEqual(unknown.id, key.id);
      assert.equal(keysConflict(key, unknown), true, "known only by its address, it still conflicts");
      assert.equal(keysConflict(key, await identify(server.options({ database: "crm", port: await findFreePort() }))), false);
      assert.equal(JSON.stringify([key, unknown]).includes("sup3r"), false);
    });

    test("a probe tells the version, sizes, tools and what to beware of", async (t) => {
      const probe = async (extra: Readonly<Record<string, unknown>>) => {
        await using datastore = await postgresqlDriver.configure(server.options(extra)).open(makeContext(makeTestDirectory(t)));
        return await datastore.probe(quiet);
      };
      const one = await probe({ database: "crm" });
      assert.match(one.summary, new RegExp(`^PostgreSQL ${major}\\.\\S+, database crm, \\d+\\.\\d MiB, by pg_dump ${major}\\.`));
      assert.ok((one.estimatedBytes ?? 0) > 1_000_000);
      assert.equal(one.stagingBytes, 0);
      // The tools of 18 are known only while a test of this process has a server of it.
      const notes = one.notes.map(({ level, code }) => `${level} ${code}`);
      assert.deepEqual(notes, notes.length === 0 && major === 15 ? [] : ["warning tools-newest"]);
      assert.equal((await probe({ database: "crm", format: "directory" })).stagingBytes, one.estimatedBytes);
      assert.match((await probe({ format: "cluster" })).summary, /the whole server/);
      assert.match((await probe({ databases: ["crm", "W*"] })).summary, /, 2 databases, /);
      await assert.rejects(probe({ database: "crn" }), { code: "source-missing", message: /^Cannot read "member": / });
      assert.match((await probe({ database: "crn", optional: true })).summary, /not there \(optional\): crn/);
    });
  });
}
