import { HoldfastError } from "../../base/errors.ts";
import { ApiContents, readDimension, type StoredCollection } from "./api-export.ts";
import { parseLossless } from "./lossless-json.ts";
import { readPage, type RecordPage, RecordSum } from "./record-pages.ts";
import type { Contents } from "../../base/contents.ts";

/** One line of an export after the other. */
export type ExportPart =
  | { readonly part: "collection"; readonly collection: StoredCollection }
  | { readonly part: "records"; readonly page: RecordPage }
  | { readonly part: "end"; readonly collection: StoredCollection; readonly sum: RecordSum };

type Line = Partial<Record<"format" | "collection" | "records" | "end" | "collections", unknown>>;

const lineFeed = 0x0a;

/** Reads an export to its end. @returns what it holds @throws backup-damaged */
export async function* readExport(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<ExportPart, Contents, undefined> {
  const contents = new ApiContents();
  let current: { readonly collection: StoredCollection; readonly sum: RecordSum } | undefined;
  let number = 0;
  let ended = 0;
  let total: number | undefined;
  for await (const text of splitLines(bytes)) {
    number += 1;
    const line = parseLine(text, number);
    if (total !== undefined) throw fail(number, "something follows its end");
    if (number === 1) {
      if (line.format !== "holdfast-chroma-1") throw fail(number, "it is no export of a Chroma server in a form that is known");
    } else if (line.collection !== undefined && current === undefined) {
      current = { collection: readCollection(line.collection, number), sum: new RecordSum() };
      yield { part: "collection", collection: current.collection };
    } else if (line.end !== undefined && current !== undefined) {
      const { collection, sum } = current;
      if (toNumber(line.records) !== sum.count || line.end !== collection.name)
        throw fail(number, `collection "${collection.name}" has ${sum.count} records`);
      contents.add(collection, sum);
      ended += 1;
      current = undefined;
      yield { part: "end", collection, sum };
    } else if (line.records !== undefined && current !== undefined) {
      const page = readPage(line.records, "backup-damaged");
      current.sum.add(page);
      yield { part: "records", page };
    } else if (line.collections !== undefined && current === undefined) {
      total = toNumber(line.collections);
      if (total !== ended) throw fail(number, `it has ${ended} collections`);
    } else throw fail(number, "it does not belong there");
  }
  if (total === undefined) throw new HoldfastError("backup-damaged", "the export ends early");
  return contents.finish();
}

/** At line feeds alone: JSON text may hold what others take for the end of a line (U+2028). */
async function* splitLines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string, void, undefined> {
  let begun: Uint8Array[] = [];
  for await (const chunk of bytes) {
    let from = 0;
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, from)) {
      yield Buffer.concat([...begun, chunk.subarray(from, end)]).toString();
      begun = [];
      from = end + 1;
    }
    if (from < chunk.length) begun.push(Buffer.from(chunk.subarray(from)));
  }
  if (begun.length > 0) yield Buffer.concat(begun).toString();
}

function parseLine(text: string, number: number): Line {
  try {
    return parseLossless(text) as Line;
  } catch (error) {
    throw new HoldfastError("backup-damaged", `line ${number} of the export is no JSON`, { cause: error });
  }
}

function readCollection(value: unknown, number: number): StoredCollection {
  const { name, configuration_json: configuration } = value as Partial<StoredCollection>;
  if (typeof name !== "string" || typeof configuration !== "object") throw fail(number, "it is no collection");
  return { ...(value as StoredCollection), dimension: readDimension((value as Partial<StoredCollection>).dimension) };
}

/** Of a number that was parsed without loss. */
const toNumber = (value: unknown): number => Number(JSON.stringify(value ?? null));

const fail = (number: number, why: string): HoldfastError => new HoldfastError("backup-damaged", `line ${number} of the export: ${why}`);
