import assert from "node:assert/strict";
import { HoldfastError, type ErrorCode } from "../../src/base/errors.ts";
import type { StoredEntry } from "../../src/datastores/contract.ts";
import { readEntry, storeEntry } from "./datastore.ts";
import type { PostgresServer } from "./postgres.ts";

/** A role, and a database of its own with one table of 500 rows. */
export function fillShop(server: PostgresServer): void {
  server.execute("CREATE ROLE ann LOGIN; CREATE DATABASE shop OWNER ann CONNECTION LIMIT 9");
  server.execute(
    "CREATE TABLE note (id int PRIMARY KEY, body text); INSERT INTO note SELECT i, md5(i::text) FROM generate_series(1, 500) i",
    "shop",
  );
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
