import assert from "node:assert/strict";
import { test } from "node:test";
import { makeContext, makeTestDirectory } from "../../../test/support/datastore.ts";
import { majors, openPostgres } from "../../../test/support/postgres.ts";
import { postgresqlDriver } from "./postgresql.ts";

const signal = new AbortController().signal;

for (const major of majors) {
  test(`A14 when a database of PostgreSQL ${major} was changed is told where the server keeps the times of commits, else it is unknown`, async (t) => {
    for (const setting of ["on", "off"]) {
      await using server = await openPostgres(major, { config: [`track_commit_timestamp = ${setting}`] });
      server.execute("create database shop");
      server.execute("create table t (x int)", "shop");
      await using datastore = await postgresqlDriver
        .configure(server.options({ database: "shop" }))
        .open(makeContext(makeTestDirectory(t)));
      await using session = await datastore.openRestore({ kind: "original" }, { absent: false }, signal);
      const { changes, newestChangeAtMs } = await session.inspect(signal);
      assert.equal(newestChangeAtMs, undefined);
      if (setting === "off") assert.equal(changes, undefined);
      else {
        const [, at = ""] = /last commit, in any of its databases, was at (\S+Z)$/.exec(changes ?? "") ?? [];
        assert.ok(Math.abs(Date.now() - Date.parse(at)) < 120_000, changes ?? "nothing");
      }
    }
  });
}
