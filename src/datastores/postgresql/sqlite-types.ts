/** How a column is kept in SQLite; docs/POSTGRESQL.md has the table of types. */
export type Storage = "integer" | "boolean" | "real" | "blob" | "text";

/** By the names of pg_catalog; every other type is text, as the server writes it. */
const storages: Readonly<Record<string, Storage>> = {
  int2: "integer",
  int4: "integer",
  int8: "integer",
  oid: "integer",
  bool: "boolean",
  float4: "real",
  float8: "real",
  bytea: "blob",
};

/** @param base the type's name, of a domain that of what it is made of; undefined for types that are not PostgreSQL's own */
export function chooseStorage(base: string | null): Storage {
  return base !== null && Object.hasOwn(storages, base) ? (storages[base] ?? "text") : "text";
}

/** The type that the column is declared with, which decides what SQLite makes of values: text stays text only in a column of TEXT. */
export const declaredTypes: Readonly<Record<Storage, string>> = {
  integer: "INTEGER",
  boolean: "INTEGER",
  real: "REAL",
  blob: "BLOB",
  text: "TEXT",
};

export type SqliteValue = string | number | bigint | Uint8Array | null;

/** SQLite stores -0.0 as 0, and -0 in text as a number; a blob stays what it is. */
const negativeZero = Buffer.from("-0");

/** A value for SQLite, from the text that the server writes. */
export function encodeValue(storage: Storage, text: string): SqliteValue {
  switch (storage) {
    case "text":
      return text;
    case "integer":
      return text.length < 16 ? Number(text) : BigInt(text);
    case "boolean":
      return text === "t" ? 1 : 0;
    case "real":
      return encodeReal(text);
    case "blob":
      return Buffer.from(text.slice(2), "hex");
  }
}

function encodeReal(text: string): SqliteValue {
  const value = Number(text);
  if (Object.is(value, -0)) return negativeZero;
  // NaN, Infinity, -Infinity: SQLite has no such numbers, or would give them back as NULL.
  return Number.isFinite(value) ? value : text;
}

/** The text that the server reads, from a value of SQLite. The reverse of encodeValue; undefined for a value that it never gives. */
export function decodeValue(storage: Storage, value: SqliteValue): string | null | undefined {
  if (value === null) return null;
  if (value instanceof Uint8Array) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    if (storage === "blob") return `\\x${bytes.toString("hex")}`;
    return storage === "real" && bytes.equals(negativeZero) ? "-0" : undefined;
  }
  if (storage === "blob") return undefined;
  if (storage === "boolean") return Number(value) === 1 ? "t" : Number(value) === 0 ? "f" : undefined;
  return String(value);
}
