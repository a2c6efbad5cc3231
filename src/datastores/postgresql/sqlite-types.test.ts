import assert from "node:assert/strict";
import { test } from "node:test";
import Database from "better-sqlite3";
import { fc } from "../../../test/support/properties.ts";
import { each } from "../../../test/support/datastore.ts";
import { readCopyText, type CopyRow } from "./sqlite-copy-text.ts";
import { declaredTypes, decodeValue, encodeValue, type SqliteValue, type Storage } from "./sqlite-types.ts";

const text = fc.string({
  unit: fc.constantFrom("a", "\\", "N", "\t", "\n", "\r", "\b", "\v", "'", ".", "0", "1", "-", "e", "ä", "🦆", " "),
});
const row = (columns: number): fc.Arbitrary<CopyRow> => fc.array(fc.option(text), { minLength: columns, maxLength: columns });

/** As PostgreSQL writes it. */
function formatCopyText(rows: readonly CopyRow[]): Buffer {
  const letters: Readonly<Record<string, string>> = { "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v", "\\": "\\" };
  const escape = (value: string): string => value.replaceAll(/[\b\f\n\r\t\v\\]/g, (char) => `\\${letters[char] ?? char}`);
  return Buffer.from(
    rows.map((values) => `${values.map((value) => (value === null ? String.raw`\N` : escape(value))).join("\t")}\n`).join(""),
  );
}

async function readAll(bytes: Buffer, pieceBytes: number): Promise<readonly CopyRow[]> {
  const pieces = Array.from({ length: Math.ceil(bytes.length / pieceBytes) }, (_, at) =>
    bytes.subarray(at * pieceBytes, (at + 1) * pieceBytes),
  );
  return (await Array.fromAsync(readCopyText(each(pieces)))).flat();
}

test("A1 rows of a COPY are read as they were written, wherever the pieces of the stream end", async () => {
  const cases = fc.integer({ min: 1, max: 4 }).chain((columns) => fc.tuple(fc.array(row(columns)), fc.integer({ min: 1, max: 40 })));
  await fc.assert(
    fc.asyncProperty(cases, async ([rows, pieceBytes]) => {
      assert.deepEqual(await readAll(formatCopyText(rows), pieceBytes), rows);
    }),
  );
  await assert.rejects(readAll(Buffer.from("a\tb"), 2), { code: "source-changed" });
  await assert.rejects(readAll(Buffer.from([0xe4, 0x0a]), 1), { code: "source-unreadable", hint: /custom/ });
});

const double = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? "-0" : String(value)));
const values: Readonly<Record<Storage, fc.Arbitrary<string>>> = {
  text: fc.oneof(text, fc.constantFrom("", "00123", "1e5", "-0", "NaN", "0x10", " 1", "9223372036854775808")),
  integer: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  boolean: fc.constantFrom("t", "f"),
  real: fc.oneof(double, fc.constantFrom("NaN", "Infinity", "-Infinity", "-0", "0", "5e-324", "1.7976931348623157e+308")),
  blob: fc.uint8Array().map((bytes) => `\\x${Buffer.from(bytes).toString("hex")}`),
};

for (const [storage, arbitrary] of Object.entries(values) as [Storage, fc.Arbitrary<string>][])
  test(`A1 A7 every value of storage ${storage} comes back from SQLite as it was`, () => {
    const database = new Database(":memory:");
    database.exec(`create table t (v ${declaredTypes[storage]})`);
    const insert = database.prepare("insert into t values (?)");
    const select = database.prepare("select v from t where rowid = ?").pluck().safeIntegers();
    fc.assert(
      fc.property(arbitrary, (value) => {
        const { lastInsertRowid } = insert.run(encodeValue(storage, value));
        assert.equal(decodeValue(storage, select.get(lastInsertRowid) as SqliteValue), value);
      }),
      { numRuns: 500 },
    );
    assert.equal(decodeValue(storage, null), null);
    database.close();
  });

test("A7 values that no export writes are refused", () => {
  for (const [storage, value] of [
    ["boolean", 2],
    ["blob", "text"],
    ["text", Buffer.from("x")],
    ["real", Buffer.from("x")],
  ] as const)
    assert.equal(decodeValue(storage, value), undefined);
});
