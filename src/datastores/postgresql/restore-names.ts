import { randomBytes } from "node:crypto";

/** PostgreSQL cuts longer names without a word. */
const nameBytes = 63;

/** A name as an identifier of SQL, whatever is in it. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as a literal of SQL that means the same whatever `standard_conforming_strings` is. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll("\\", "\\\\")}'`;
  return text.includes("\\") ? ` E${quoted}` : quoted;
}

export function quoteTable({ schema, table }: { readonly schema: string; readonly table: string }): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`;
}

/** Tells the databases and schemas of one restore from those of any other. */
export function createRestoreMark(): string {
  return randomBytes(5).toString("hex");
}

/** `NAME_holdfast_WORD_MARK`, the name cut between characters where the whole would be too long. */
export function createSideName(name: string, word: "new" | "old", mark: string): string {
  const suffix = `_holdfast_${word}_${mark}`;
  let kept = "";
  for (const character of name) {
    if (Buffer.byteLength(kept + character) + suffix.length > nameBytes) break;
    kept += character;
  }
  return kept + suffix;
}
