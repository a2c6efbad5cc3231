import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { findBreach, rows } from "../../scripts/lint/layers.ts";

const root = resolve(import.meta.dirname, "../..");

/** A tree that keeps every rule; each test seeds one breach into it. */
const cleanTree = {
  "src/main.ts": 'import { report } from "./cli/report.ts";\n\nconsole.log(report());\n',
  "src/cli/report.ts":
    'import { names } from "../datastores/registry.ts";\n\nexport function report(): string {\n  return names().join();\n}\n',
  "src/datastores/contract.ts": "export interface Driver {\n  readonly kind: string;\n}\n",
  "src/datastores/registry.ts":
    'import { files } from "./files/driver.ts";\nimport { sqlite } from "./sqlite/driver.ts";\n\nexport function names(): readonly string[] {\n  return [files.kind, sqlite.kind];\n}\n',
  "src/datastores/files/driver.ts":
    'import { later } from "../../base/later.ts";\nimport { type Driver } from "../contract.ts";\n\nexport const files: Driver = { kind: `files ${later.name}` };\n',
  "src/datastores/sqlite/driver.ts": 'import { type Driver } from "../contract.ts";\n\nexport const sqlite: Driver = { kind: "sqlite" };\n',
  "src/queue/task.ts": 'export interface Task {\n  readonly id: string;\n}\n\nexport const noTask: Task = { id: "" };\n',
  "src/base/later.ts": "export async function later(): Promise<void> {\n  await Promise.resolve();\n}\n",
  "src/base/later.test.ts":
    'import { test } from "node:test";\nimport { check } from "../../test/support/check.ts";\nimport { later } from "./later.ts";\n\ntest("later", async () => {\n  await later();\n  check();\n});\n',
  "test/support/check.ts":
    'import { files } from "../../src/datastores/files/driver.ts";\n\nexport function check(): string {\n  return files.kind;\n}\n',
} as const;

interface LintOutcome {
  readonly status: number | null;
  readonly output: string;
}

/** Lints the clean tree with some files added or replaced, with the project's own config, table and npm script. */
function lint(seeds: Readonly<Record<string, string>>): LintOutcome {
  const tree = mkdtempSync(join(tmpdir(), "lint-"));
  try {
    for (const path of [".oxlintrc.json", "package.json", "tsconfig.json", "scripts/lint"])
      cpSync(join(root, path), join(tree, path), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
    for (const [path, text] of Object.entries({ ...cleanTree, ...seeds })) {
      mkdirSync(dirname(join(tree, path)), { recursive: true });
      writeFileSync(join(tree, path), text);
    }
    const { status, stdout, stderr } = spawnSync("npm", ["run", "--silent", "lint"], {
      cwd: tree,
      encoding: "utf8",
    });
    return { status, output: stripVTControlCharacters(stdout + stderr) }; // it colours wherever CI is set
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

function assertCaught(seeds: Readonly<Record<string, string>>, ...messages: readonly RegExp[]): void {
  const { status, output } = lint(seeds);
  assert.equal(status, 1, output);
  for (const message of messages) assert.match(output, message);
  assert.match(output, /Found 0 warnings and 1 error/, "nothing but the seeded breach is reported");
}

test("lint passes a tree that keeps the rules", () => {
  const { status, output } = lint({});
  assert.equal(status, 0, output);
  assert.match(output, /Found 0 warnings and 0 errors/);
});

test("lint catches a layer breach", () => {
  const seed = 'import { noTask } from "../queue/task.ts";\n\nexport const name = noTask.id;\n';
  assertCaught({ "src/base/seed.ts": seed }, /layer rule: base may not import queue/, /src\/base\/seed\.ts:1:1/);
});

test("lint catches a layer breach by types alone, however the import is written", () => {
  assertCaught(
    { "src/base/seed.ts": 'import type { Task } from "../queue/task.ts";\n\nexport type Seed = Task;\n' },
    /layer rule: base may not import queue/,
  );
  assertCaught({ "src/base/seed.ts": 'export type Seed = import("../queue/task.ts").Task;\n' }, /layer rule: base may not import queue/);
  assertCaught(
    { "src/base/seed.ts": 'export async function seed(): Promise<unknown> {\n  return import("../queue/task.ts");\n}\n' },
    /layer rule: base may not import queue/,
  );
});

test("lint catches an import between rooms of one row", () => {
  const seed = 'import { noTask } from "../queue/task.ts";\n\nexport const name = noTask.id;\n';
  assertCaught({ "src/catalog/seed.ts": seed }, /layer rule: catalog may not import queue/);
});

test("lint catches a driver that imports another driver", () => {
  const seed = 'import { sqlite } from "../sqlite/driver.ts";\n\nexport const seed = sqlite;\n';
  assertCaught(
    { "src/datastores/files/seed.ts": seed },
    /layer rule: the driver datastores\/files may not import the driver datastores\/sqlite/,
  );
});

test("lint catches the inside of a driver seen by another file than the registry", () => {
  assertCaught(
    { "src/datastores/seed.ts": 'import { sqlite } from "./sqlite/driver.ts";\n\nexport const seed = sqlite;\n' },
    /only datastores\/registry\.ts may import the driver datastores\/sqlite/,
  );
  assertCaught(
    { "src/operations/seed.ts": 'import { sqlite } from "../datastores/sqlite/driver.ts";\n\nexport const seed = sqlite;\n' },
    /operations may not import the driver datastores\/sqlite/,
  );
});

test("lint catches a product file that imports test code", () => {
  assertCaught(
    { "src/worker/seed.ts": 'import { check } from "../../test/support/check.ts";\n\nexport const seed = check;\n' },
    /src\/ may not import test\/support\/check\.ts/,
  );
});

test("lint catches a cycle inside a room, also one of types", () => {
  const { status, output } = lint({
    "src/base/one.ts": 'import { two } from "./two.ts";\n\nexport interface One {\n  readonly two: typeof two;\n}\n',
    "src/base/two.ts": 'import type { One } from "./one.ts";\n\nexport const two = (one: One): unknown => one.two;\n',
  });
  assert.equal(status, 1, output);
  assert.match(output, /Dependency cycle detected/);
});

test("lint catches a floating promise", () => {
  const seed = 'import { later } from "./later.ts";\n\nexport function seed(): void {\n  later();\n}\n';
  assertCaught({ "src/base/seed.ts": seed }, /no-floating-promises/);
});

test("lint catches any, enums, default exports, barrels, the console outside the CLI, and a switch that forgets a case", () => {
  assertCaught({ "src/base/seed.ts": "export function seed(value: any): boolean {\n  return value === 1;\n}\n" }, /no-explicit-any/);
  assertCaught({ "src/base/seed.ts": "export enum Seed {\n  one,\n}\n" }, /no enums/);
  assertCaught({ "src/base/seed.ts": "export default 1;\n" }, /no-default-export/);
  assertCaught({ "src/base/seed.ts": 'export * from "./later.ts";\n' }, /no-barrel-file/);
  assertCaught({ "src/base/seed.ts": 'console.log("seed");\n' }, /no-console/);
  const forgetful =
    'export function seed(kind: "a" | "b"): number {\n  switch (kind) {\n    case "a":\n      return 1;\n  }\n  return 2;\n}\n';
  assertCaught({ "src/base/seed.ts": forgetful }, /switch-exhaustiveness-check/);
});

test("the layer table holds every room once, and a folder that it does not know is refused", () => {
  const rooms = rows.flat();
  assert.equal(new Set(rooms).size, rooms.length);
  assert.match(findBreach("/p", "/p/src/misc/a.ts", "../base/b.ts") ?? "", /src\/misc\/a\.ts belongs to no room/);
  assert.match(findBreach("/p", "/p/src/cli/a.ts", "../misc/b.ts") ?? "", /src\/misc\/b\.ts belongs to no room/);
  assert.equal(findBreach("/p", "/p/src/cli/a.ts", "zod"), undefined);
  assert.match(findBreach("/p", "/p/src/datastores/files/a.ts", "../registry.ts") ?? "", /may not import its room's registry/);
  const shared = "/p/src/datastores/trees/a.ts";
  assert.equal(findBreach("/p", "/p/src/datastores/files/a.ts", "../trees/a.ts"), undefined);
  assert.match(findBreach("/p", shared, "../files/a.ts") ?? "", /may import the driver datastores\/files/);
  assert.match(findBreach("/p", shared, "../registry.ts") ?? "", /may not import its registry/);
  assert.match(findBreach("/p", "/p/src/operations/a.ts", "../datastores/trees/a.ts") ?? "", /share/);
});
