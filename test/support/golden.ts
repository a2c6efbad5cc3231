import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * Compares a text with the golden file of that name.
 * `UPDATE_GOLDEN=1` writes the file instead; review the difference before it is committed.
 * @param path below test/golden, with its extension
 */
export function assertGolden(path: string, actual: string): void {
  const file = join(import.meta.dirname, "..", "golden", path);
  if (process.env["UPDATE_GOLDEN"] === "1") {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, actual);
    return;
  }
  assert.ok(existsSync(file), `No golden file test/golden/${path}: run the test with UPDATE_GOLDEN=1 and review what it wrote`);
  assert.equal(actual, readFileSync(file, "utf8"), `Differs from test/golden/${path} (UPDATE_GOLDEN=1 rewrites it)`);
}
