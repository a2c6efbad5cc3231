import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { checkAll, dumpAll, makeTestDirectory, readEntry, storeEntry } from "../../../test/support/datastore.ts";
import { majors, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import type { StoredEntry } from "../contract.ts";
import { postgresqlDriver } from "./postgresql.ts";

/** Where the last of these texts ends; of padding, where it begins. */
function findEnd(bytes: Buffer, text: string): number {
  if (text !== "\0") return bytes.lastIndexOf(text) + text.length;
  return bytes.findLastIndex((byte) => byte !== 0) + 1;
}

for (const major of majors) {
  describe(`PostgreSQL ${major} checks`, () => {
    let server: PostgresServer;
    before(async () => {
      server = await openPostgres(major);
      server.execute("create database crm");
      server.execute(
        `create table t (x int, body text); insert into t select n, md5(n::text) from generate_series(1, 3000) n;
         create table u (x text); insert into u values ('last')`,
        "crm",
      );
    });
    after(() => server[Symbol.asyncDispose]());

    async function dump(directory: string, extra: Readonly<Record<string, unknown>>): Promise<readonly [StoredEntry, Buffer]> {
      const { entries } = await dumpAll(postgresqlDriver, server.options({ database: "crm", ...extra }), directory);
      const [entry] = entries;
      assert.ok(entry !== undefined);
      return [entry, await readEntry(entry)];
    }

    for (const format of ["custom", "plain", "cluster", "directory"] as const) {
      test(`F38 A8 a ${format} dump that is cut anywhere is damaged`, async (t) => {
        const directory = makeTestDirectory(t);
        const [entry, bytes] = await dump(directory, { format });
        await checkAll(postgresqlDriver, [entry], directory);
        // Behind the last file of a tar is padding, and behind the line that ends SQL a comment.
        const last = {
          custom: bytes.length,
          plain: findEnd(bytes, " complete"),
          cluster: findEnd(bytes, " complete"),
          directory: findEnd(bytes, "\0"),
        };
        const cuts = [0, 4, 300, Math.floor(bytes.length / 2), Math.floor(last[format] * 0.95), last[format] - 1];
        for (const at of cuts) {
          const cut = storeEntry(entry, bytes.subarray(0, at));
          await assert.rejects(checkAll(postgresqlDriver, [cut], directory), { code: "backup-damaged" }, `cut at ${at} of ${bytes.length}`);
        }
      });
    }

    test("A8 a custom dump is read without pg_restore, with the same contents, and cuts are seen", async (t) => {
      const directory = makeTestDirectory(t);
      const before = process.env["PATH"];
      for (const dumpCompression of ["none", { level: 3 }]) {
        const [entry, bytes] = await dump(directory, { dumpCompression });
        const { contents } = await checkAll(postgresqlDriver, [entry], directory);
        try {
          process.env["PATH"] = "/usr/bin:/bin";
          const own = await checkAll(postgresqlDriver, [entry], directory);
          assert.deepEqual({ ...own.contents.counts }, { ...contents.counts });
          assert.deepEqual({ ...own.contents.counts }, { "rows.public.t": 3000, "rows.public.u": 1, largeObjects: 0 });
          if (major === 18) {
            assert.deepEqual(
              own.notes.map(({ code }) => code),
              ["read-without-pg-restore"],
            );
            for (const at of [300, Math.floor(bytes.length / 2), bytes.length - 1])
              await assert.rejects(checkAll(postgresqlDriver, [storeEntry(entry, bytes.subarray(0, at))], directory), {
                code: "backup-damaged",
              });
          }
        } finally {
          process.env["PATH"] = before;
        }
      }
    });

    test("A8 what a user's own tools wrote is read too: gzip apart", async (t) => {
      const directory = makeTestDirectory(t);
      const [entry] = await dump(directory, {});
      const own = Buffer.from(
        execFileSync(`${server.binDir}/pg_dump`, ["--inserts"], {
          env: { ...process.env, PGHOST: server.socketDirectory, PGPORT: String(server.port), PGUSER: "postgres", PGDATABASE: "crm" },
          maxBuffer: 1 << 28,
        }),
      );
      const { contents } = await checkAll(postgresqlDriver, [storeEntry({ ...entry, name: "own.sql" }, own)], directory);
      assert.ok(contents.digests["schema"] !== undefined);
    });

    for (const format of ["custom", "plain", "directory", "sqlite"] as const) {
      test(`F31 F50 a database without tables is told as empty, format ${format}; one without rows is not`, async (t) => {
        const directory = makeTestDirectory(t);
        const findEmpty = async (database: string): Promise<readonly string[]> => {
          const { entries, notes } = await dumpAll(postgresqlDriver, server.options({ database, format }), directory);
          const checked = await checkAll(postgresqlDriver, entries, directory);
          return [...notes, ...checked.notes].filter(({ code }) => code === "empty").map(({ level, message }) => `${level}: ${message}`);
        };
        server.execute("drop database if exists bare");
        server.execute("create database bare");
        server.execute("create function f() returns int language sql as 'select 1'", "bare");
        assert.deepEqual(await findEmpty("bare"), ['warning: The database "bare" has no tables']);
        server.execute("create table t (x int)", "bare");
        assert.deepEqual(await findEmpty("bare"), []);
      });
    }

    test("F31 of several databases those without tables are told as empty, but not the ones that every server has", async (t) => {
      const directory = makeTestDirectory(t);
      const findEmpty = async (options: Readonly<Record<string, unknown>>): Promise<readonly string[]> => {
        const { entries } = await dumpAll(postgresqlDriver, server.options(options), directory);
        const { notes } = await checkAll(postgresqlDriver, entries, directory);
        return notes.filter(({ code }) => code === "empty").map(({ message }) => message);
      };
      server.execute("drop database if exists bare");
      server.execute("create database bare");
      const expected = ['The database "bare" has no tables'];
      assert.deepEqual(await findEmpty({ databases: "all" }), expected);
      assert.deepEqual(await findEmpty({ format: "cluster" }), expected);
      assert.deepEqual(await findEmpty({ databases: ["bare", "postgres"] }), ["None of the 2 databases has a table"]);
    });

    test("a dump that is followed by something, and what is no dump, are damaged", async (t) => {
      const directory = makeTestDirectory(t);
      const [entry, bytes] = await dump(directory, { format: "plain" });
      for (const other of [Buffer.concat([bytes, Buffer.from("DROP TABLE t;\n")]), Buffer.from("no dump at all\n"), Buffer.from("PGDMP")])
        await assert.rejects(checkAll(postgresqlDriver, [storeEntry(entry, other)], directory), { code: "backup-damaged" });
    });
  });
}
