import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../test/support/properties.ts";
import { HoldfastError } from "../base/errors.ts";
import { checkNameTemplate, createNameVariant, findNameProblem, formatEnding, formatName, namePlaceholders } from "./name-template.ts";

const startedAtMs = Date.UTC(2024, 0, 1, 12, 3, 4);
const context = { startedAtMs, timezone: "UTC", job: "nightly", host: "duck" };

const documented = [
  ["D2", "duck_backup_{YYYYMMDD}_{HHmmss}", "archive", "gzip", "", "duck_backup_20240101_120304.tar.gz"],
  ["D5", "pre_restore_{YYYYMMDD}_{HHmmss}", "archive", "gzip", "", "pre_restore_20240101_120304.tar.gz"],
  ["P1", "sqlite-backup-{YYYY}-{MM}-{DD}-{HH}-{mm}-{ss}", "file", "none", "bot.db", "sqlite-backup-2024-01-01-12-03-04.db"],
  ["L1", "backup-{YYYY}-{MM}-{DD}T{HH}-{mm}-{ss}", "directory", "none", "", "backup-2024-01-01T12-03-04"],
  ["W2", "whisperengine_backup_{YYYYMMDD}_{HHmmss}", "directory", "none", "", "whisperengine_backup_20240101_120304"],
  ["A2", "prompts_{YYYYMMDD}_{HHmmss}", "file", "none", "prompts.backup", "prompts_20240101_120304.backup"],
  ["A3", "prompts_{YYYYMMDD}_{HHmmss}", "file", "none", "prompts.sql", "prompts_20240101_120304.sql"],
  ["A3", "prompts_{YYYYMMDD}_{HHmmss}", "file", "gzip", "prompts.sql", "prompts_20240101_120304.sql.gz"],
  ["A4", "schema_{YYYYMMDD}", "file", "none", "schema.sql", "schema_20240101.sql"],
] as const;

for (const [id, template, layout, method, fileName, expected] of documented) {
  test(`${id} ${template} gives ${expected}`, () => {
    assert.deepEqual(checkNameTemplate(template), { hasTime: true });
    assert.equal(formatName(template, context) + formatEnding(layout, method, fileName), expected);
  });
}

test("A4 a second run on one day gets another name, before the ending", () => {
  const stem = formatName("users_{YYYYMMDD}", context);
  assert.deepEqual(
    [1, 2, 3].map((attempt) => createNameVariant(stem, attempt) + formatEnding("file", "none", "users.sql")),
    ["users_20240101.sql", "users_20240101-2.sql", "users_20240101-3.sql"],
  );
});

test("names follow the clock of the job's zone, through its change too", () => {
  const at = (ms: number): string =>
    formatName("{YYYY}-{MM}-{DD}T{HH}-{mm}-{ss}", { ...context, startedAtMs: ms, timezone: "Europe/Berlin" });
  assert.equal(at(Date.UTC(2024, 2, 31, 0, 59, 59)), "2024-03-31T01-59-59");
  assert.equal(at(Date.UTC(2024, 2, 31, 1)), "2024-03-31T03-00-00");
  assert.equal(
    at(Date.UTC(2024, 9, 27, 0, 30)),
    at(Date.UTC(2024, 9, 27, 1, 30)),
    "the hour that comes twice gives one name twice: the second gets -2",
  );
});

test("what comes from outside is made plain, and does not fail a backup", () => {
  const name = (job: string, host: string): string => formatName("{job}_{host}", { ...context, job, host });
  assert.equal(name("Nächtlich", "duck.example.org"), "Nächtlich_duck.example.org");
  assert.equal(name("../../etc", "a/b\nc"), "etc_a-b-c");
  assert.equal(name("", "-"), "x_x");
});

test("a file's ending is kept only when it is a plain one", () => {
  const endings = ["a.db", "dir.d/a.db", ".env", "dir/.env", "a.tar.gz", "a", "a.", "a.b c", "a.ba\nr", `a.${"x".repeat(40)}`, "a.d/b"].map(
    (name) => formatEnding("file", "none", name),
  );
  assert.deepEqual(endings, [".db", ".db", "", "", ".gz", "", "", "", "", "", ""]);
  assert.equal(formatEnding("file", "zstd", "app.tar"), ".tar.zst");
  assert.equal(formatEnding("archive", "zstd", "a.db"), ".tar.zst");
  assert.equal(formatEnding("directory", "zstd", "a.db"), "");
});

for (const template of [
  "",
  "a/b",
  "../x",
  ".hidden",
  "-rf",
  "a{YYY}",
  "a{",
  "a}b",
  "{}",
  "a\nb",
  "a\\b",
  "a\u0000",
  "x".repeat(181),
  "é".repeat(91),
  "{job}.manifest.json",
  "manifest.json",
  "x.events.jsonl",
  "\ud800",
  "a{__proto__}",
  "a{constructor}",
]) {
  test(`the template ${JSON.stringify(template.slice(0, 30))} is refused`, () => {
    assert.throws(
      () => checkNameTemplate(template),
      (error) => error instanceof HoldfastError && error.code === "config-invalid" && error.message.length > 20,
    );
  });
}

test("names: whatever the template, job and host, the name is refused or safe as a file name, and nothing else is thrown", () => {
  const piece = fc.oneof(
    fc.constantFrom(...namePlaceholders.map((name) => `{${name}}`)),
    fc.constantFrom("..", "/", "-", ".", "{", "}", "_", " ", ".manifest.json", "\u202e"),
    fc.string({ unit: "binary", maxLength: 6 }),
  );
  const times = fc.integer({ min: 0, max: 8.64e15 });
  const property = fc.property(
    fc.array(piece, { maxLength: 8 }),
    fc.string({ unit: "binary" }),
    fc.string({ unit: "binary", maxLength: 300 }),
    times,
    (pieces, job, host, at) => {
      const template = pieces.join("");
      let name: string;
      try {
        name = formatName(template, { startedAtMs: at, timezone: "America/St_Johns", job, host });
      } catch (error) {
        assert.ok(error instanceof HoldfastError && error.code === "config-invalid", String(error));
        return;
      }
      assert.equal(findNameProblem(name), undefined);
      assert.ok(
        name !== "" &&
          !name.startsWith(".") &&
          !name.startsWith("-") &&
          !name.includes("/") &&
          !name.includes("\0") &&
          !name.includes("\n"),
      );
      assert.ok(Buffer.byteLength(`${createNameVariant(name, 1000)}.tar.zst.manifest.json`) <= 255);
    },
  );
  fc.assert(property, { numRuns: 2000 });
});

test("names of templates with the time to the second never repeat while the clock goes on", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: 1, max: 1e9 }), (at, later) => {
      const format = (ms: number): string => formatName("{YYYYMMDD}_{HHmmss}", { ...context, startedAtMs: ms });
      assert.ok(Math.floor(at / 1000) === Math.floor((at + later) / 1000) || format(at) < format(at + later));
    }),
  );
});
