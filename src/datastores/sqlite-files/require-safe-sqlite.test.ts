import assert from "node:assert/strict";
import { test } from "node:test";
import { requireSafeSqlite } from "./require-safe-sqlite.ts";

test("F25 a SQLite with the WAL-reset bug is refused", () => {
  for (const version of ["3.40.1", "3.51.2", "3.7.0", "2.8.17", "nonsense"]) {
    assert.throws(() => requireSafeSqlite(version), { code: "tool-missing" }, version);
  }
  for (const version of ["3.51.3", "3.52.0", "3.54.1", "4.0.0"]) requireSafeSqlite(version);
});
