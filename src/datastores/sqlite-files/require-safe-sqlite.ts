import { HoldfastError } from "../../base/errors.ts";

/** Earlier versions can corrupt a WAL database when two connections checkpoint at once (https://sqlite.org/wal.html#walresetbug). */
const firstSafe = [3, 51, 3] as const;

/** Throws `tool-missing` for a SQLite that must not touch live databases. */
export function requireSafeSqlite(version: string): void {
  const parts = version.split(".").map(Number);
  for (const [index, wanted] of firstSafe.entries()) {
    const found = parts[index] ?? Number.NaN;
    if (found > wanted) return;
    if (found === wanted) continue;
    throw new HoldfastError("tool-missing", `The bundled SQLite ${version} can damage databases in WAL mode`, {
      hint: `Install Holdfast with SQLite ${firstSafe.join(".")} or later (better-sqlite3 12.8 or later).`,
    });
  }
}
