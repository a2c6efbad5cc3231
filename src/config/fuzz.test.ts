import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { fc } from "../../test/support/properties.ts";
import { stringify } from "yaml";
import { withConfigFiles } from "../../test/support/config-files.ts";
import { HoldfastError } from "../base/errors.ts";
import { loadConfig } from "./load-config.ts";
import type { ConfigProblem } from "./problem.ts";

const valid = `settings: { logLevel: info }
destinations: { local: { kind: local, path: /b } }
datastores: { crm: { kind: sqlite, path: &p /srv/crm.db }, two: { kind: sqlite, path: *p } }
notify: { a: { kind: ping, url: "http://x" } }
jobs:
  nightly: { datastores: [crm], schedule: "0 3 * * *", destination: local, retention: { keepLast: 5 }, restore: { stop: [{ unit: a }], check: { http: "http://x" } } }
`;

const word = fc.oneof(
  fc.constantFrom(
    "env",
    "default",
    "unit",
    "file",
    "credential",
    "kind",
    "sqlite",
    "local",
    "ping",
    "path",
    "__proto__",
    "constructor",
    "daily",
    "zstd",
    "5s",
  ),
  fc.string({ maxLength: 8 }),
);
const leaf = fc.oneof(word, fc.integer(), fc.double(), fc.boolean(), fc.constant(null));
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, depthSize: "small" },
    leaf,
    fc.array(tie("tree"), { maxLength: 4 }),
    fc.dictionary(word, tie("tree"), { maxKeys: 5 }),
  ),
}));
const jobKeys = fc.constantFrom(
  "enabled",
  "datastores",
  "schedule",
  "timezone",
  "atStart",
  "destination",
  "folder",
  "copies",
  "layout",
  "name",
  "compression",
  "infoFiles",
  "retention",
  "verify",
  "shrink",
  "restore",
  "notify",
  "maxDuration",
  "retry",
  "nice",
);
const document = fc.oneof(
  tree,
  fc.record({ settings: tree, datastores: tree, destinations: tree, notify: tree, jobs: tree }, { requiredKeys: [] }),
  fc.record({
    jobs: fc.dictionary(fc.constantFrom("a", "b"), fc.dictionary(jobKeys, tree)),
    datastores: fc.constant({ a: { kind: "sqlite", path: "/a" } }),
  }),
);
const edits = fc.array(
  fc.record({
    at: fc.nat(valid.length),
    remove: fc.nat(6),
    insert: fc.oneof(
      fc.uint8Array({ maxLength: 3 }),
      fc.constantFrom("{", "}", "[", "]", ":", "- ", "&p ", "*p", "\t", "\n", "!!", "|", "? ", "#", "'").map((text) => Buffer.from(text)),
    ),
  }),
  { maxLength: 4 },
);

/** A Config, or `config-invalid` with a place for every problem; never anything else. */
async function checkOutcome(path: string, content: Uint8Array): Promise<void> {
  await writeFile(path, content);
  try {
    await loadConfig({ path, env: { SET: "5" }, flags: {} });
  } catch (thrown) {
    assert.ok(thrown instanceof HoldfastError && thrown.code === "config-invalid", thrown as Error);
    const problems = thrown.details?.["problems"] as readonly ConfigProblem[];
    assert.ok(problems.length > 0);
    for (const { line, column, message } of problems) assert.ok(message !== "" && (line ?? 1) >= 1 && (column ?? 1) >= 1);
  }
}

async function checkAll<T>(arbitrary: fc.Arbitrary<T>, runs: number, render: (value: T) => Uint8Array): Promise<void> {
  await withConfigFiles({}, async (directory) => {
    await fc.assert(
      fc.asyncProperty(arbitrary, async (value) => await checkOutcome(`${directory}/holdfast.yaml`, render(value))),
      { numRuns: runs },
    );
  });
}

test("prop-E7 any bytes: config-invalid or a Config", async () => await checkAll(fc.uint8Array({ maxLength: 200 }), 200, (bytes) => bytes));
test("prop-E7 any text: config-invalid or a Config", async () =>
  await checkAll(fc.string({ unit: "binary", maxLength: 200 }), 200, (text) => Buffer.from(text)));
test("prop-E7 any tree: config-invalid or a Config", async () =>
  await checkAll(document, 400, (value) => Buffer.from(stringify(value, { aliasDuplicateObjects: false }))));

test("prop-E7 a right config with a few wrong bytes: config-invalid or a Config", async () => {
  await checkAll(edits, 400, (changes) => {
    let bytes = Buffer.from(valid);
    for (const { at, remove, insert } of changes) bytes = Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);
    return bytes;
  });
});

for (const [name, text] of [
  ["a deep list", "[".repeat(20_000)],
  ["a deep mapping", "{a: ".repeat(20_000)],
  ["a deep indentation", Array.from({ length: 700 }, (_, at) => `${" ".repeat(at)}a:`).join("\n")],
  ["an alias of itself", "jobs: &a { x: *a }\n"],
  ["many keys", Array.from({ length: 60_000 }, (_, at) => `k${at}: 1`).join("\n")],
  ["a long line", `jobs: "${"x".repeat(900_000)}"`],
] as const) {
  test(`F67 ${name} is refused, not a crash`, async () =>
    await withConfigFiles({}, async (directory) => await checkOutcome(`${directory}/holdfast.yaml`, Buffer.from(text))));
}
