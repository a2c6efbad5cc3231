import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { withConfigFiles } from "../../test/support/config-files.ts";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load-config.ts";
import { chooseRestoreJob, chooseRestoreTargets, listMoved, parseRestoreTo } from "./choose-restore-targets.ts";

const text = `
destinations: { disk: { kind: local, path: /nowhere/disk } }
datastores:
  a: { kind: sqlite, path: /nowhere/a.db }
  b: { kind: sqlite, path: /nowhere/b.db }
  c: { kind: sqlite, path: /nowhere/c.db }
  crm: { kind: postgresql, database: crm, restoreConnection: { user: admin, database: crm } }
  many: { kind: postgresql, databases: all }
jobs:
  one: { datastores: [a, crm], destination: disk }
  two: { datastores: [b, c, many], destination: disk }
  three: { datastores: [c], destination: disk }
`;

async function withConfig(work: (config: Config) => void): Promise<void> {
  await withConfigFiles({ "holdfast.yaml": text }, async (dir) =>
    work(await loadConfig({ path: join(dir, "holdfast.yaml"), env: {}, flags: {} })),
  );
}

const sqlite = (datastore: string) => ({ datastore, kind: "sqlite" });
const crm = { datastore: "crm", kind: "postgresql" };
const backup = { id: "1", job: "one", class: "backup" as const };
const noRestores = { restores: { list: () => [] } } as unknown as Parameters<typeof chooseRestoreJob>[1];

test("F61 --to names a target for a member, alone only where there is one", () => {
  assert.deepEqual(parseRestoreTo(["b"], [sqlite("a")]), { a: "b" });
  assert.deepEqual(parseRestoreTo(["a=b", "crm=database:x=y"], [sqlite("a"), crm]), { a: "b", crm: "database:x=y" });
  assert.deepEqual(parseRestoreTo(["database:x=y"], [crm]), { crm: "database:x=y" });
  assert.throws(() => parseRestoreTo(["b"], [sqlite("a"), crm]), { code: "usage" });
  assert.throws(() => parseRestoreTo(["a=b", "a=c"], [sqlite("a")]), { code: "usage" });
  assert.deepEqual(listMoved({ a: "b" }, undefined), ["a"]);
  assert.throws(() => listMoved({ a: "b" }, ["a", "crm"]), { code: "usage", message: /"crm"/ });
  assert.throws(() => listMoved({ a: "b", crm: "crm" }, ["a"]), { code: "usage", message: /"crm"/ });
});

test("F61 no two members share a target, and what was absent goes nowhere else", async () => {
  await withConfig((config) => {
    assert.throws(() => chooseRestoreTargets(config, [sqlite("a"), sqlite("b")], { a: "c", b: "c" }), { code: "usage" });
    assert.throws(() => chooseRestoreTargets(config, [sqlite("a"), sqlite("b")], { a: "b" }), { code: "usage" });
    assert.equal(chooseRestoreTargets(config, [sqlite("a"), sqlite("b")], { a: "b", b: "a" }).length, 2);
    assert.throws(() => chooseRestoreTargets(config, [{ ...sqlite("a"), status: "absent" as const }], { a: "b" }), { code: "usage" });
  });
});

test("F61 a new database is reached by both connections, and its name is one that can be", async () => {
  await withConfig((config) => {
    const [target] = chooseRestoreTargets(config, [crm], { crm: "database:new one" });
    const options = target?.options as {
      readonly database: string;
      readonly restoreConnection: { readonly user: string; readonly database: string };
    };
    assert.deepEqual(
      [options.database, options.restoreConnection.database, options.restoreConnection.user],
      ["new one", "new one", "admin"],
    );
    for (const name of ["", "postgres", "template1", "x".repeat(64), "crm_holdfast_0123456789", "crm_scratch_01234567890123456789"])
      assert.throws(() => chooseRestoreTargets(config, [crm], { crm: `database:${name}` }), { code: "usage" }, name);
    assert.throws(() => chooseRestoreTargets(config, [{ ...crm, datastore: "many" }], { many: "database:x" }), { code: "usage" });
  });
});

test("the hooks are those of the one job that has all the targets, else nobody's", async () => {
  await withConfig((config) => {
    const choose = (to: Record<string, string>) => {
      const members = Object.keys(to).map((name) => (name === "crm" ? crm : sqlite(name)));
      const { job, hooks } = chooseRestoreJob(config, noRestores, backup, chooseRestoreTargets(config, members, to));
      return [job.name, hooks];
    };
    assert.deepEqual(choose({ a: "a" }), ["one", "job"]);
    assert.deepEqual(choose({ a: "b" }), ["two", "job"]);
    assert.deepEqual(choose({ a: "c" }), ["two", "none"]);
    assert.deepEqual(choose({ crm: "database:x" }), ["one", "none"]);
    assert.deepEqual(choose({ a: "b", crm: "crm" }), ["one", "none"]);
  });
});

test("F61 a backup whose job has left the config goes back under the one job that has its datastores now, whose application is stopped", async () => {
  await withConfig((config) => {
    const choose = (id: string, name: string, hooks?: "none") => {
      const restores = [{ preRestore: { destination: "disk", id: "1", name: "" }, ...(hooks === undefined ? {} : { hooks }) }];
      const known = { restores: { list: () => restores } } as unknown as typeof noRestores;
      const gone = { id, job: "gone", class: "pre-restore" as const };
      const { job, hooks: chosen } = chooseRestoreJob(config, known, gone, chooseRestoreTargets(config, [sqlite(name)], undefined));
      return [job.name, chosen];
    };
    assert.deepEqual(choose("other", "b"), ["two", "job"]);
    assert.deepEqual(choose("1", "b", "none"), ["two", "none"], "its undo stops what the restore stopped");
    assert.deepEqual(choose("other", "c"), ["two", "none"], "two jobs have it");
    const made = chooseRestoreTargets(config, [crm], { crm: "database:x" });
    assert.equal(chooseRestoreJob(config, noRestores, { ...backup, job: "gone" }, made).job.name, "one");
  });
});
