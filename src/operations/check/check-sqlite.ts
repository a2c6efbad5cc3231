import Database from "better-sqlite3";
import { type Finding, fail, ok } from "./finding.ts";

/** Earlier ones can corrupt a WAL database when two connections checkpoint at once (https://sqlite.org/wal.html#walresetbug). */
const firstSafe = [3, 51, 3] as const;

/** The bundled SQLite is what touches live databases. */
export function checkSqlite(): Finding {
  const database = new Database(":memory:");
  try {
    const version = String(database.prepare("SELECT sqlite_version()").pluck().get());
    return isSafe(version)
      ? ok("SQLite", `${version} (bundled)`)
      : fail(
          "SQLite",
          `the bundled ${version} can damage databases in WAL mode`,
          `Install a Holdfast with ${firstSafe.join(".")} or later.`,
        );
  } finally {
    database.close();
  }
}

export function isSafe(version: string): boolean {
  const parts = version.split(".").map(Number);
  for (const [index, wanted] of firstSafe.entries()) {
    const found = parts[index] ?? Number.NaN;
    if (found !== wanted) return found > wanted;
  }
  return true;
}
