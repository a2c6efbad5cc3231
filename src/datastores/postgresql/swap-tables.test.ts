import assert from "node:assert/strict";
import { test } from "node:test";
import { quiet } from "../../../test/support/datastore.ts";
import { openPostgres } from "../../../test/support/postgres.ts";
import { isFailure } from "../../../test/support/postgres-restore.ts";
import { postgresqlOptions } from "./options.ts";
import { resolveServer } from "./restore-server.ts";
import { openDatabase } from "./restore-sql.ts";
import { readTables } from "./restore-table-set.ts";
import { replaceTables } from "./swap-tables.ts";

test("F1 A6 rows that are other in number than what was counted undo the transaction that has put them in", async () => {
  await using postgres = await openPostgres(15);
  postgres.execute(
    `CREATE TABLE "it's" (id int); INSERT INTO "it's" VALUES (1); CREATE TABLE source AS SELECT generate_series(1, 5) AS id`,
  );
  const options = postgresqlOptions.parse(postgres.options({ database: "postgres" }));
  const server = await resolveServer(options, quiet);
  await using source = await openDatabase(server, "postgres", quiet);
  const [table] = (await readTables(source)).filter((each) => each.table === "it's");
  assert.ok(table !== undefined);
  const replace = (rows: number): Promise<void> =>
    replaceTables(
      server,
      source,
      { database: "postgres", schema: "kept" },
      [{ table, from: { schema: "public", table: "source" }, sequences: [], rows }],
      quiet,
    );
  const look = (): string => postgres.execute(`SELECT count(*) FROM "it's"; SELECT count(*) FROM pg_namespace WHERE nspname = 'kept'`);
  await assert.rejects(
    replace(6),
    isFailure("restore-failed", /^the restore has put in 5 rows, not 6, into "public"\."it's"$/, /whole database/),
  );
  assert.equal(look(), "1\n0\n");
  await replace(5);
  assert.equal(look(), "5\n1\n");
});
