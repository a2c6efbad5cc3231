import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { HoldfastError, type ErrorCode } from "../../src/base/errors.ts";
import type { StoredEntry } from "../../src/datastores/contract.ts";
import { postgresqlDriver } from "../../src/datastores/postgresql/postgresql.ts";
import { dumpAll, makeTestDirectory, readEntry, storeEntry } from "./datastore.ts";
import { openPostgres, type Major, type PostgresServer } from "./postgres.ts";

/** A role, and a database of its own with one table of 500 rows. */
export function fillShop(server: PostgresServer): void {
  server.execute("CREATE ROLE ann LOGIN; CREATE DATABASE shop OWNER ann CONNECTION LIMIT 9");
  server.execute(
    "CREATE TABLE note (id int PRIMARY KEY, body text); INSERT INTO note SELECT i, md5(i::text) FROM generate_series(1, 500) i",
    "shop",
  );
}

export interface Shop {
  readonly server: PostgresServer;
  readonly options: Record<string, unknown>;
  readonly directory: string;
  readonly entries: readonly StoredEntry[];
}

/** A server of the test's own with a shop, and a dump of that. */
export async function openShop(t: TestContext, major: Major, fill: (server: PostgresServer) => void = fillShop): Promise<Shop> {
  const directory = makeTestDirectory(t);
  const server = await openPostgres(major);
  t.after(() => server[Symbol.asyncDispose]());
  fill(server);
  const options = server.options({ database: "shop", binDir: server.binDir });
  return { server, options, directory, entries: (await dumpAll(postgresqlDriver, options, directory)).entries };
}

/** Everything that a restore could leave changed. */
export function lookAtServer(server: PostgresServer): string {
  return [
    server.execute(
      "SELECT oid, datname, datallowconn, datconnlimit, datdba FROM pg_database ORDER BY oid; SELECT rolname FROM pg_roles ORDER BY 1",
    ),
    server.execute("SELECT count(*), md5(string_agg(n::text, '' ORDER BY id)) FROM note n", "shop"),
  ].join("");
}

export function isFailure(code: ErrorCode, message: RegExp, hint: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof HoldfastError, String(error));
    assert.match(error.message, message);
    assert.match(error.hint ?? "", hint);
    assert.equal(error.code, code);
    return true;
  };
}

/** The same entry with other bytes. */
export async function alterEntry(entry: StoredEntry | undefined, change: (text: string) => string): Promise<StoredEntry> {
  assert.ok(entry !== undefined);
  return storeEntry(entry, Buffer.from(change((await readEntry(entry)).toString("latin1")), "latin1"));
}
