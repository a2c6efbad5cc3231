import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { assertNoneUnfinished } from "./find-blocking.ts";

test("F59 G6 a restore that is to be rolled back yet is in the way of its datastores, whatever they are called now", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "journals-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const begin = { type: "begin", at: "", id: "stuck", backup: "b", job: "nightly", datastores: ["crm"], keys: { crm: "postgresql:7/crm" } };
  const write = (...records: readonly object[]): void => {
    const lines = [{ ...begin, start: [], stop: [] }, ...records].map((record) => `${JSON.stringify(record)}\n`);
    writeFileSync(join(directory, "stuck.restore.jsonl"), lines.join(""));
  };
  const ask = (name: string, key?: string): Promise<void> => assertNoneUnfinished(directory, [{ name, key }]);
  const isStuck = { code: "restore-stuck", message: /^The restore stuck was neither finished nor rolled back/ };
  write();
  await assert.rejects(ask("crm"), isStuck);
  await assert.rejects(ask("customers", "postgresql:7/crm"), isStuck);
  await ask("customers", "postgresql:7/shop");
  await ask("customers");
  write({ type: "rolled-back" });
  await ask("customers", "postgresql:7/crm");
});
