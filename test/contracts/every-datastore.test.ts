import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { listDatastoreDrivers } from "../../src/datastores/registry.ts";

test("every registered datastore passes the suite of datastores, in a file of its own", () => {
  for (const { kind } of listDatastoreDrivers()) {
    const text = readFileSync(join(import.meta.dirname, `datastore-${kind}.test.ts`), "utf8");
    assert.match(text, new RegExp(`^describeDatastore\\("${kind}\\b.*", \\w+`, "m"));
  }
  const files = globSync("datastore-*.test.ts", { cwd: import.meta.dirname });
  assert.deepEqual(
    files.toSorted(),
    listDatastoreDrivers()
      .map(({ kind }) => `datastore-${kind}.test.ts`)
      .toSorted(),
  );
});
