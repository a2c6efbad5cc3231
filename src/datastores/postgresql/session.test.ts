import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError } from "../../base/errors.ts";
import { makeDockerStandIn, majors, openPostgres, superuserPassword, type PostgresServer } from "../../../test/support/postgres.ts";
import { resolveAccess, selectDatabase, type Access } from "./connection.ts";
import { postgresqlOptions } from "./options.ts";
import { openSession } from "./session.ts";
import type { SqlSession } from "./sql-session.ts";

const quiet = new AbortController().signal;
const oddName = `o"d'd \\ $x;\n-é ,=/`;

for (const major of majors) {
  describe(`PostgreSQL ${major} sessions`, () => {
    let server: PostgresServer;
    const ways: Readonly<Record<string, () => Record<string, unknown>>> = {
      "pg, by TCP and password": () => server.options(),
      "pg, by socket and password": () => ({ ...server.options(), host: server.socketDirectory }),
      "psql, by socket without a password": () => server.socketOptions(),
      "psql, as another account": () => ({ ...server.socketOptions(), runAs: "postgres" }),
      "psql, in a container": () => ({ user: "postgres", via: { dockerCompose: "db" } }),
      "psql, through a command": () => ({
        ...server.socketOptions(),
        via: { command: ["setpriv", "--clear-groups", "--"] },
        binDir: server.binDir,
      }),
      "psql, by TCP with TLS where there is any": () => ({
        url: `postgresql://postgres:${encodeURIComponent(superuserPassword)}@127.0.0.1:${server.port}/?sslmode=prefer`,
      }),
    };
    before(async () => {
      server = await openPostgres(major);
      server.execute(`create database "${oddName.replaceAll('"', '""')}"`);
    });
    after(() => server[Symbol.asyncDispose]());

    async function readAccess(options: unknown): Promise<Access> {
      return await resolveAccess(postgresqlOptions.parse(options), "backup", quiet);
    }

    async function open(options: unknown, database = "postgres", signal = quiet): Promise<SqlSession> {
      const access = selectDatabase(await readAccess(options), database);
      return await openSession(access, { psql: access.via === undefined ? `${server.binDir}/psql` : "psql" }, signal);
    }

    for (const [way, options] of Object.entries(ways)) {
      test(`${way}: values, NULL, parameters, errors, copies`, async (t) => {
        makeDockerStandIn(t, server, "db");
        await using session = await open(options());
        const text = `a'b"c\\d $1 é\n\tZ`;
        const rows = await session.query(
          "SELECT $1::text AS text, NULL AS nothing, '' AS empty, 42 AS number, true AS truth, '{1,2}'::int[] AS list UNION ALL SELECT $2, $3, $1, 1, false, NULL",
          [text, "2", null],
        );
        assert.deepEqual(
          rows.map((row) => ({ ...row })),
          [
            { text, nothing: null, empty: "", number: "42", truth: "t", list: "{1,2}" },
            { text: "2", nothing: null, empty: text, number: "1", truth: "f", list: null },
          ],
        );
        assert.deepEqual(await session.query("SELECT 1 AS x WHERE false"), []);
        await assert.rejects(session.query("SELECT 1/0"), { code: "tool-failed", message: /division by zero/ });
        await assert.rejects(session.query("SELECT * FROM missing"), {
          code: "source-changed",
          message: /relation "missing" does not exist/,
        });
        await session.query("CREATE TEMP TABLE t AS SELECT n, repeat('x', 1000) AS body FROM generate_series(1, 5000) n");
        let bytes = 0;
        for await (const chunk of session.copyOut("COPY (SELECT * FROM pg_temp.t) TO STDOUT")) bytes += chunk.length;
        assert.equal(bytes, 5000 * 1002 + 9 + 90 * 2 + 900 * 3 + 4001 * 4);
        const failing = async (): Promise<void> => {
          for await (const _ of session.copyOut("COPY (SELECT 1/(n - 4000) FROM pg_temp.t ORDER BY n) TO STDOUT"));
        };
        await assert.rejects(failing(), { message: /division by zero/ });
        assert.deepEqual({ ...(await session.query("SELECT count(*) AS n FROM pg_temp.t"))[0] }, { n: "5000" });
      });

      test(`F42 ${way}: a database with an odd name`, async (t) => {
        makeDockerStandIn(t, server, "db");
        await using session = await open(options(), oddName);
        assert.equal((await session.query("SELECT current_database() AS name"))[0]?.["name"], oddName);
      });

      test(`${way}: a database that does not exist, a connection that is ended, an abort`, async (t) => {
        makeDockerStandIn(t, server, "db");
        await assert.rejects(open(options(), "nowhere"), { code: "source-missing", message: /"nowhere" does not exist/ });
        const abort = new AbortController();
        {
          await using session = await open(options(), "postgres", abort.signal);
          const waiting = assert.rejects(session.query("SELECT pg_sleep(2)"), { code: "cancelled" });
          abort.abort();
          await waiting;
        }
        // Whoever asks at once learns it by the answer, whoever asks later has missed what was said.
        for (const waitMs of [0, 200]) {
          await using session = await open(options());
          const [row] = await session.query("SELECT pg_backend_pid() AS pid");
          server.execute(`select pg_terminate_backend(${row?.["pid"]}, 5000)`);
          await delay(waitMs);
          await assert.rejects(session.query("SELECT 1"), { code: "source-unreachable", retryable: true });
        }
      });
    }

    test("F33 a wrong password, port, host and user are told apart, and no message has the password", async () => {
      const cases: readonly (readonly [Record<string, unknown>, string])[] = [
        [{ password: "wr0ng" }, "source-unreadable"],
        [{ password: undefined }, "source-unreadable"],
        [{ user: "nobody-here" }, "source-unreadable"],
        [{ port: 1 }, "source-unreachable"],
        [{ host: "nowhere.invalid" }, "source-unreachable"],
        [{ host: "/nonexistent" }, "source-unreachable"],
        [{ ssl: { mode: "require" } }, "source-unreadable"],
      ];
      for (const [change, code] of cases) {
        await assert.rejects(open({ ...server.options(), ...change }), (error: unknown) => {
          assert.ok(error instanceof HoldfastError, String(error));
          assert.equal(error.code, code, `${JSON.stringify(change)}: ${error.message}`);
          assert.ok(error.hint !== undefined);
          assert.doesNotMatch(JSON.stringify([error.message, error.details]), /wr0ng|sup3r/);
          return true;
        });
      }
    });

    test("a server that is starting is waited for", async () => {
      await server.stop();
      const access = await readAccess(server.options());
      const opening = openSession(selectDatabase(access, "postgres"), { psql: "psql", waitForMs: 30_000 }, quiet);
      await server.start();
      await using session = await opening;
      assert.equal((await session.query("SELECT 1 AS one"))[0]?.["one"], "1");
    });
  });
}
