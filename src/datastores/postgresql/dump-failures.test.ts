import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { HoldfastError } from "../../base/errors.ts";
import { checkAll, dumpAll, listChildren, makeTestDirectory, type DumpHooks } from "../../../test/support/datastore.ts";
import { fillTable, findBinDir, majors, openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import { postgresqlDriver } from "./postgresql.ts";

for (const major of majors) {
  describe(`PostgreSQL ${major} dumps that fail`, () => {
    let server: PostgresServer;
    before(async () => {
      server = await openPostgres(major);
      server.execute("create database crm");
      server.execute("create table small (x int); insert into small values (1)", "crm");
      fillTable(server, "crm", "large", 30);
    });
    after(() => server[Symbol.asyncDispose]());

    async function dump(t: Parameters<typeof makeTestDirectory>[0], extra: Readonly<Record<string, unknown>>, hooks: DumpHooks = {}) {
      return await dumpAll(postgresqlDriver, server.options({ database: "crm", ...extra }), makeTestDirectory(t), hooks);
    }

    /** Every failure is one that is explained: what it was, in whose dump, and what to do. */
    function isExplained(code: string, pattern: RegExp): (error: unknown) => boolean {
      return (error) => {
        assert.ok(error instanceof HoldfastError, String(error));
        assert.equal(error.code, code, error.message);
        assert.match(error.message, /^Cannot dump "member": /);
        assert.match(error.message, pattern);
        assert.ok((error.hint ?? "").length > 10, "it has a hint");
        assert.equal(JSON.stringify([error.message, error.details]).includes("sup3r"), false);
        return true;
      };
    }

    const refusals: readonly (readonly [string, Record<string, unknown>, string, RegExp])[] = [
      ["a wrong password", { password: "wr0ng" }, "source-unreadable", /password authentication failed/],
      ["a role that is not there", { user: "nobody-here" }, "source-unreadable", /authentication failed|does not exist/],
      ["a wrong host", { host: "nowhere.invalid" }, "source-unreachable", /nowhere\.invalid/],
      ["a wrong port", { port: 1 }, "source-unreachable", /ECONNREFUSED/],
      ["a database that is not there", { database: "crn" }, "source-missing", /"crn" does not exist/],
      ["TLS that the server has not", { ssl: { mode: "require" } }, "source-unreadable", /SSL/],
    ];
    for (const [title, change, code, pattern] of refusals)
      for (const format of ["custom", "cluster"] as const) {
        if (format === "cluster" && code === "source-missing") continue;
        test(`F33 ${title} is a failure, format ${format}`, async (t) => {
          await assert.rejects(dump(t, { ...change, format }), isExplained(code, pattern));
        });
      }

    test("F33 a role without rights on one table is a failure, not a smaller dump", async (t) => {
      server.execute("create role half login password 'halb'; grant select on small to half", "crm");
      for (const format of ["custom", "plain", "directory"] as const)
        await assert.rejects(
          dump(t, { user: "half", password: "halb", format }),
          isExplained("source-unreadable", /permission denied for table large/),
        );
      await assert.rejects(
        dump(t, { user: "half", password: "halb", format: "cluster" }),
        isExplained("source-unreadable", /permission denied/),
      );
      server.execute("drop owned by half; drop role half", "crm");
    });

    test("F33 row security never makes a dump smaller", async (t) => {
      server.execute(
        `create role secured login password 'sicher' in role pg_read_all_data; create table secret (x int); insert into secret values (1), (2);
         alter table secret enable row level security; create policy p on secret using (x = 1)`,
        "crm",
      );
      await assert.rejects(dump(t, { user: "secured", password: "sicher" }), isExplained("source-unreadable", /row-level security/));
      server.execute("drop table secret", "crm");
    });

    /** Ends, or cancels, whoever is copying the large table; gives up when the dump has ended. */
    async function strikeCopy(how: "terminate" | "cancel", ended: AbortSignal): Promise<void> {
      const strike = `select count(pg_${how}_backend(pid)) from pg_stat_activity where query like 'COPY%large%'`;
      await waitUntil("a dump that copies the large table", () => ended.aborted || server.execute(strike).trim() !== "0", { pollMs: 0 });
    }

    const strikes: Readonly<Record<string, (ended: AbortSignal) => Promise<void>>> = {
      "its connection is ended": (ended) => strikeCopy("terminate", ended),
      "its query is cancelled": (ended) => strikeCopy("cancel", ended),
      "the server crashes": () => server.stop("immediate"),
      "the server is stopped": () => server.stop("fast"),
    };
    for (const [title, strike] of Object.entries(strikes)) {
      for (const format of ["custom", "plain", "cluster"] as const) {
        test(`F34 a dump fails when ${title} in its middle, format ${format}`, async (t) => {
          const children = listChildren();
          const ended = new AbortController();
          let struck: Promise<unknown> = Promise.resolve();
          const firstBytes = (): void => {
            struck = strike(ended.signal);
          };
          try {
            await assert.rejects(dump(t, { format }, { firstBytes }), (error: unknown) => {
              assert.ok(error instanceof HoldfastError);
              return isExplained(error.code, /^Cannot dump/)(error) && ["source-unreachable", "tool-failed"].includes(error.code);
            });
          } finally {
            ended.abort();
            await struck;
            if (title.startsWith("the server")) await server.start();
          }
          assert.equal(listChildren().length, children.length);
        });
      }
    }

    test("F34 parallel jobs whose connections are ended fail, and leave no file", async (t) => {
      const ended = new AbortController();
      let struck: Promise<void> | undefined;
      const progress = ({ phase }: { readonly phase: string }): void => {
        if (phase === "dumping") struck = strikeCopy("terminate", ended.signal);
      };
      const stagingDir = join(makeTestDirectory(t), "staging");
      mkdirSync(stagingDir, { mode: 0o700 });
      try {
        const failing = dump(t, { format: "directory" }, { context: { progress, stagingDir } });
        await assert.rejects(failing, isExplained("source-unreachable", /terminating connection|server closed/));
      } finally {
        ended.abort();
        await struck;
      }
      assert.deepEqual(readdirSync(stagingDir), []);
    });

    test("F35 a table that stays locked ends the dump after lockTimeout", async (t) => {
      const locker = spawn(join(server.binDir, "psql"), ["-X", "-q", "-A", "-t"], {
        env: { ...process.env, PGHOST: server.socketDirectory, PGPORT: String(server.port), PGUSER: "postgres", PGDATABASE: "crm" },
      });
      t.after(() => locker.kill());
      locker.stdin.write("begin; lock table small in access exclusive mode; select 'locked';\n");
      await once(locker.stdout, "data");
      for (const format of ["custom", "directory", "cluster"] as const)
        await assert.rejects(dump(t, { lockTimeout: "100ms", format }), isExplained("source-locked", /LOCK TABLE|could not obtain lock/));
      locker.stdin.end("rollback;\n");
      await once(locker, "close");
      await dump(t, { lockTimeout: "100ms", tables: ["small"] });
    });

    test("F35 a dump ends at maxDuration, with nothing left running", async (t) => {
      const children = listChildren();
      for (const format of ["custom", "directory"] as const)
        await assert.rejects(dump(t, { format, maxDuration: "1ms" }), isExplained("timeout", /was not done within 0.001 s/));
      assert.equal(listChildren().length, children.length);
    });

    test("F36 a table that is altered, emptied and added to meanwhile is in the dump as it was", async (t) => {
      const directory = makeTestDirectory(t);
      const firstBytes = (): void => {
        server.execute(
          `set lock_timeout = '50ms'; do $$ begin alter table small add y int; exception when lock_not_available then null; end $$;
           insert into small values (2); create table late (x int)`,
          "crm",
        );
      };
      const { entries } = await dumpAll(postgresqlDriver, server.options({ database: "crm" }), directory, { firstBytes });
      const { contents } = await checkAll(postgresqlDriver, entries, directory);
      assert.deepEqual({ ...contents.counts }, { "rows.public.small": 1, "rows.public.large": 30_000, largeObjects: 0 });
      server.execute("delete from small where x = 2; drop table late", "crm");
    });

    test("F37 a client older than the server is refused, with what to install", async (t) => {
      const old = makeTestDirectory(t);
      for (const tool of ["pg_dump", "psql"]) {
        writeFileSync(join(old, tool), `#!/bin/sh\necho "${tool} (PostgreSQL) 14.3"\n`);
        chmodSync(join(old, tool), 0o755);
      }
      await assert.rejects(
        dump(t, { binDir: old }),
        isExplained("tool-missing", new RegExp(`pg_dump 14.3 is too old for PostgreSQL ${major}`)),
      );
      if (major === 18)
        await assert.rejects(
          dump(t, { binDir: findBinDir(15) }),
          isExplained("tool-missing", /pg_dump 15\.\d+ is too old for PostgreSQL 18/),
        );
      const none = join(old, "none");
      mkdirSync(none);
      symlinkSync(join(server.binDir, "psql"), join(none, "psql"));
      await assert.rejects(dump(t, { binDir: none }), isExplained("tool-missing", /pg_dump is not in/));
    });

    test("F34 a pg_dump that fails after all bytes is a failure, whatever it has written", async (t) => {
      const directory = makeTestDirectory(t);
      writeFileSync(
        join(directory, "pg_dump"),
        `#!/bin/sh\ncase "$1" in --version) echo "pg_dump (PostgreSQL) ${major}.0"; exit 0;; esac\n${join(server.binDir, "pg_dump")} "$@"\nexit 1\n`,
      );
      chmodSync(join(directory, "pg_dump"), 0o755);
      await assert.rejects(dump(t, { binDir: directory }), {
        code: "tool-failed",
        message: /^Cannot dump "member": pg_dump exited with 1$/,
      });
    });
  });
}
