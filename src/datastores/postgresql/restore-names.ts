import { createHash, randomBytes } from "node:crypto";
import { quoteName } from "./quote-sql.ts";

/** PostgreSQL cuts longer names without a word. */
const nameBytes = 63;

export interface TableName {
  readonly schema: string;
  readonly table: string;
}

export function quoteTable({ schema, table }: TableName): string {
  return `${quoteName(schema)}.${quoteName(table)}`;
}

/** Tells the databases and schemas of one restore from those of any other. */
export function createRestoreMark(): string {
  return randomBytes(5).toString("hex");
}

/** Whether a database is one that a restore has staged, has put aside, or has made in a scratch place: no backup takes it up. */
export function isSideName(name: string): boolean {
  return /_holdfast_(?:old_)?[0-9a-f]{10}$/.test(name) || /_scratch_[0-9a-hjkmnp-tv-z]{20}$/.test(name);
}

/** The database of a scratch place, by the place's id. */
export function createScratchName(database: string, id: string): string {
  return appendSuffix(database, `_scratch_${id}`);
}

/**
 * `NAME_holdfast_MARK`, or `NAME_holdfast_old_MARK`. Where the whole would be too long the name is cut between characters and has a hash of
 * all of it: databases of one restore may begin alike.
 */
export function createSideName(name: string, side: "new" | "old", mark: string): string {
  return appendSuffix(name, side === "new" ? `_holdfast_${mark}` : `_holdfast_old_${mark}`);
}

function appendSuffix(name: string, suffix: string): string {
  if (Buffer.byteLength(name) + suffix.length <= nameBytes) return name + suffix;
  const hash = `_${createHash("sha256").update(name).digest("hex").slice(0, 8)}`;
  let kept = "";
  for (const character of name) {
    if (Buffer.byteLength(kept + character) + hash.length + suffix.length > nameBytes) break;
    kept += character;
  }
  return kept + hash + suffix;
}
