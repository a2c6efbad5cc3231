import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { alterEntry, fillShop, isFailure, lookAtServer } from "../../../test/support/postgres-restore.ts";
import { checkAll, dumpAll, each, makeContext, makeTestDirectory, quiet, readEntry, restoreAll } from "../../../test/support/datastore.ts";
import { openPostgres, type PostgresServer } from "../../../test/support/postgres.ts";
import type { StoredEntry } from "../contract.ts";
import { readParts } from "./restore-parts.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";
import { RoleStatements } from "./restore-roles.ts";

interface LargeShop extends AsyncDisposable {
  readonly server: PostgresServer;
  readonly directory: string;
  readonly options: Record<string, unknown>;
  /** As it comes back from a backup, with the contents of its manifest. */
  readonly entry: StoredEntry;
}

/** A plain dump that is larger than what is read before anything is made: about 8 MiB. */
async function openLargeShop(t: TestContext): Promise<LargeShop> {
  const server = await openPostgres(15);
  fillShop(server);
  server.execute(
    "CREATE TABLE bulk AS SELECT i, repeat(md5(i::text), 8) AS body FROM generate_series(1, 30000) i; CREATE INDEX late ON bulk (i)",
    "shop",
  );
  const directory = makeTestDirectory(t);
  const options = server.options({ database: "shop", binDir: server.binDir, format: "plain" });
  const { entries } = await dumpAll(driver, options, directory);
  const [entry] = entries;
  assert.ok(entry !== undefined && entry.bytes > 7 << 20);
  const { contents } = await checkAll(driver, entries, directory);
  return { server, directory, options, entry: { ...entry, contents }, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const rowsOf = (server: PostgresServer): string =>
  server.execute("SELECT count(*), md5(string_agg(b::text, '' ORDER BY i)) FROM bulk b", "shop");

test("F38 a large dump in SQL is loaded while it is read, without a copy of it, and is the same then", async (t) => {
  await using shop = await openLargeShop(t);
  const { server, directory, options, entry } = shop;
  const context = makeContext(directory);
  const settings = { identity: null, large: "stream" } as const;
  for await (const { dump } of readParts(each([entry]), context, settings, new RoleStatements(), quiet)) {
    assert.ok(dump.script !== undefined);
    assert.equal(existsSync(dump.path), false);
    const chunks: Uint8Array[] = [];
    for await (const { bytes } of dump.script()) chunks.push(bytes);
    const whole = (await readEntry(entry)).toString("latin1");
    const passed = Buffer.concat(chunks).toString("latin1");
    assert.match(whole, /^\\restrict \S+$/m);
    assert.equal(passed, whole.replaceAll(/^\\(un)?restrict \S+\n/gm, ""));
  }
  const rows = rowsOf(server);
  server.execute("DELETE FROM bulk WHERE i % 3 = 0; DROP INDEX late", "shop");
  const { staged, found } = await restoreAll(driver, options, directory, [entry]);
  assert.deepEqual(found.counts, staged.counts);
  assert.equal(staged.counts["rows.public.bulk"], 30_000);
  assert.equal(rowsOf(server), rows);
  assert.equal(server.execute("SELECT count(*) FROM pg_indexes WHERE indexname = 'late'", "shop"), "1\n");
});

test("F38 F41 a large dump in SQL that turns out bad on its way leaves everything as it was", async (t) => {
  await using shop = await openLargeShop(t);
  const { server, directory, options, entry } = shop;
  const witness = join(directory, "witness");
  const before = lookAtServer(server) + rowsOf(server);
  const { length } = await readEntry(entry);
  const late = "CREATE INDEX late";
  const isHostile = isFailure("backup-damaged", /holds a command for psql itself.*do not trust it/, /^Nothing was replaced/);
  const isAfterEnd = isFailure("backup-damaged", /goes on after its end.*do not trust it/, /^Nothing was replaced/);
  const isCut = isFailure("backup-incomplete", /has not the line that ends a dump/, /^Nothing was replaced/);
  const cases: readonly (readonly [string, (text: string) => string, (error: unknown) => boolean])[] = [
    ["a program", (text) => text.replace(late, `\\! touch ${witness}\n${late}`), isHostile],
    ["an option", (text) => text.replace(late, `\\set x \`touch ${witness}\`\n${late}`), isHostile],
    ["another database", (text) => text.replace(late, `\\connect postgres\nCREATE ROLE intruder;\n${late}`), isHostile],
    ["an end before the end", (text) => text.replace(late, `\\unrestrict x\n${late}`), isAfterEnd],
    ["a second restriction", (text) => text.replace(late, `\\restrict x\n${late}`), isHostile],
    ["what stands after its end", (text) => `${text}\nCREATE ROLE intruder;\n`, isAfterEnd],
    // psql itself must refuse what stands within a statement.
    [
      "a command in a statement",
      (text) => text.replace(late, `SELECT 1 \\g |touch${witness}\n;${late}`),
      isFailure("restore-failed", /restricted/, /^/),
    ],
    ["cut between statements", (text) => text.slice(0, text.indexOf(late)), isCut],
    ["cut in its rows", (text) => text.slice(0, Math.floor(length * 0.7)), isCut],
    ["an error at its end", (text) => text.replace(late, `SELECT 1/0;${late}`), isFailure("restore-failed", /division by zero/, /^/)],
  ];
  for (const [what, change, isExpected] of cases) {
    const altered = await alterEntry(entry, change);
    assert.notEqual(altered.bytes, length, what);
    await assert.rejects(restoreAll(driver, options, directory, [altered]), isExpected, what);
    assert.equal(lookAtServer(server) + rowsOf(server), before, what);
    assert.equal(existsSync(witness), false, what);
  }
  const failing: StoredEntry = {
    ...entry,
    async *open(signal) {
      yield* entry.open(signal);
      throw new Error("its hash is another one");
    },
  };
  await assert.rejects(restoreAll(driver, options, directory, [failing]), /its hash is another one/);
  assert.equal(lookAtServer(server) + rowsOf(server), before);
});

test("F40 what the end of a large dump in SQL needs is told by the manifest before anything is made", async (t) => {
  await using shop = await openLargeShop(t);
  const { server, directory, options } = shop;
  server.execute("CREATE ROLE late; GRANT SELECT ON bulk TO late", "shop");
  const { entries } = await dumpAll(driver, options, directory);
  const { contents } = await checkAll(driver, entries, directory);
  server.execute("REVOKE ALL ON bulk FROM late; DROP ROLE late", "shop");
  const [entry] = entries;
  assert.ok(entry !== undefined);
  const steps: unknown[] = [];
  const refused = restoreAll(driver, options, directory, [{ ...entry, contents }], { record: (step) => steps.push(step) });
  await assert.rejects(refused, isFailure("target-unsafe", /lacks roles.*: late$/, /CREATE ROLE "late";/));
  assert.deepEqual(steps, []);
});
