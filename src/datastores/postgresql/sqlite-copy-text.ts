import { isUtf8 } from "node:buffer";
import { HoldfastError } from "../../base/errors.ts";

/** A row's values as the server writes them; null is NULL. */
export type CopyRow = readonly (string | null)[];

const escapes: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };
const newline = 0x0a;

/**
 * The rows of a COPY in text format, as many at a time as have arrived. Only a row that has not arrived whole is kept.
 * @throws source-unreadable for bytes that are no UTF-8 (a database of encoding SQL_ASCII can hold them)
 */
export async function* readCopyText(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<readonly CopyRow[], void, undefined> {
  let pieces: Uint8Array[] = [];
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(newline);
    if (end === -1) {
      pieces.push(chunk);
      continue;
    }
    const whole = pieces.length === 0 ? chunk.subarray(0, end) : Buffer.concat([...pieces, chunk.subarray(0, end)]);
    pieces = end + 1 === chunk.length ? [] : [Buffer.from(chunk.subarray(end + 1))];
    yield parseLines(whole);
  }
  if (pieces.length > 0) throw new HoldfastError("source-changed", "the rows end in the middle of one");
}

function parseLines(bytes: Uint8Array): readonly CopyRow[] {
  if (!isUtf8(bytes)) {
    throw new HoldfastError("source-unreadable", "it has text that is not UTF-8, which SQLite cannot hold", {
      hint: "Back it up with `format: custom`, or correct the text.",
    });
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString("utf8")
    .split("\n")
    .map((line) => line.split("\t").map(parseField));
}

function parseField(field: string): string | null {
  if (!field.includes("\\")) return field;
  if (field === String.raw`\N`) return null;
  return field.replaceAll(/\\(.)/g, (_, char: string) => escapes[char] ?? char);
}
