import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createOpenApi } from "../../src/control/openapi.ts";
import { allRoutes } from "../../src/control/route-table.ts";
import { loadProgram } from "../../src/daemon/load-program.ts";
import { ask, openControlBed } from "../support/control.ts";

test("docs/openapi.json is what the route table says", () => {
  const file = join(import.meta.dirname, "../../docs/openapi.json");
  const fresh = JSON.parse(JSON.stringify(createOpenApi(allRoutes, loadProgram().version))) as unknown;
  assert.deepEqual(JSON.parse(readFileSync(file, "utf8")), fresh, "`node scripts/generate-openapi.ts` writes it anew");
});

test("the document is served, names every route once, and says of each what it answers", async () => {
  await using bed = await openControlBed();
  const { body } = await ask(bed.readPath, { path: "/v1/openapi.json" });
  const { paths } = body as {
    paths: Record<string, Record<string, { operationId: string; responses: Record<string, { description: string }> }>>;
  };
  const operations = Object.values(paths).flatMap((path) => Object.values(path));
  assert.equal(operations.length, allRoutes.length);
  assert.equal(new Set(operations.map(({ operationId }) => operationId)).size, operations.length);
  for (const { responses } of operations) assert.notEqual(responses["200"]?.description ?? "", "");
});
