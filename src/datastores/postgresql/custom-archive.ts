import { once } from "node:events";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { createInflate } from "node:zlib";
import { HoldfastError } from "../../base/errors.ts";
import { ByteReader } from "./byte-reader.ts";
import { DatabaseReader, formatTableKey, type DatabaseContents } from "./dump-contents.ts";
import { SqlScanner } from "./sql-scanner.ts";

/** What the beginning of an archive of pg_dump says. */
export interface ArchiveHeader {
  /** For example 1.14, as 114. */
  readonly format: number;
  readonly intBytes: number;
  readonly offsetBytes: number;
  readonly kind: "custom" | "other";
  readonly compression: "none" | "gzip" | "other";
  readonly database: string;
  readonly serverVersion: string;
  readonly dumpVersion: string;
}

/** The versions of the format that PostgreSQL 12 (1.14) to 18 (1.16) write. */
const oldestFormat = 112;
const newestFormat = 116;
const maxTextBytes = 1 << 30;

export const archiveMagic = "PGDMP";

/** Numbers and texts in pg_dump's own encoding. */
class ArchiveInput {
  readonly reader: ByteReader;
  readonly #intBytes: number;

  constructor(reader: ByteReader, intBytes: number) {
    this.reader = reader;
    this.#intBytes = intBytes;
  }

  async readInt(): Promise<number> {
    const bytes = await this.reader.read(1 + this.#intBytes);
    const value = bytes.readUIntLE(1, this.#intBytes);
    return bytes[0] === 0 ? value : -value;
  }

  /** Null where pg_dump has written none. */
  async readText(): Promise<string | null> {
    const bytes = await this.readInt();
    if (bytes < 0) return null;
    if (bytes > maxTextBytes) throw new HoldfastError("backup-damaged", "a length in it is not possible");
    return (await this.reader.read(bytes)).toString("utf8");
  }
}

/** Undefined where it is no archive of pg_dump. */
export async function readHeader(reader: ByteReader): Promise<ArchiveHeader | undefined> {
  if ((await reader.peek(5)).toString("latin1") !== archiveMagic) return undefined;
  const [major = 0, minor = 0, , intBytes = 0, offsetBytes = 0, kind] = (await reader.read(11)).subarray(5);
  const format = major * 100 + minor;
  if (major !== 1 || minor < oldestFormat - 100)
    throw new HoldfastError("format-unsupported", `its format ${major}.${minor} is not known`, {
      hint: "Use the pg_restore of the version that wrote it.",
    });
  if (intBytes < 2 || intBytes > 6 || offsetBytes > 16) throw new HoldfastError("backup-damaged", "its header is not possible");
  const input = new ArchiveInput(reader, intBytes);
  const level = minor >= 15 ? await reader.readByte() : await input.readInt();
  for (let field = 0; field < 7; field += 1) await input.readInt();
  const database = (await input.readText()) ?? "";
  const serverVersion = (await input.readText()) ?? "";
  const dumpVersion = (await input.readText()) ?? "";
  const compression = level === 0 ? "none" : minor < 15 || level === 1 ? "gzip" : "other";
  return { format, intBytes, offsetBytes, kind: kind === 1 ? "custom" : "other", compression, database, serverVersion, dumpVersion };
}

interface TocEntry {
  readonly kind: string;
  /** Of a table's rows: the table. */
  readonly tag: string;
  readonly schema: string;
  readonly definition: string;
  readonly copy: string;
  readonly owner: string;
}

/**
 * Reads an archive of format custom to its end without pg_restore, for machines that have none: rows and definitions as pg_restore would
 * give them. Throws `backup-damaged` where it is cut, `format-unsupported` for compressions that only pg_restore knows.
 */
export async function readCustomArchive(reader: ByteReader, header: ArchiveHeader): Promise<DatabaseContents> {
  if (header.kind !== "custom" || header.compression === "other" || header.format > newestFormat) {
    throw new HoldfastError("format-unsupported", "only pg_restore can read this archive", {
      hint: "Install the PostgreSQL client programs of the dump's version.",
    });
  }
  const input = new ArchiveInput(reader, header.intBytes);
  const contents = new DatabaseReader(undefined);
  contents.serverVersion = header.serverVersion;
  contents.dumpVersion = header.dumpVersion;
  const entries = await readToc(input, header);
  for (const entry of entries.values()) addDefinitions(entry, contents);
  const wanted = new Set([...entries].flatMap(([id, { copy }]) => (copy === "" ? [] : [id])));
  while ((await reader.peek(1)).length > 0) {
    const type = await reader.readByte();
    const id = await input.readInt();
    wanted.delete(id);
    const entry = entries.get(id);
    if (type === 1 && entry !== undefined) {
      const rows = await readData(input, header);
      if (entry.copy !== "") contents.addRows(entry.copy.trim().replace(/;$/, ""), rows);
    } else if (type === 3) while ((await input.readInt()) !== 0) await readData(input, header);
    else throw new HoldfastError("backup-damaged", "a block in it is of no known kind");
  }
  if (wanted.size > 0) throw new HoldfastError("backup-damaged", `the rows of ${wanted.size} tables are not in it`);
  return contents.finish();
}

/** Keys of the tables whose rows an archive of format custom or directory holds, be it none of them. */
export async function readFilledTables({ kind, path }: { readonly kind: string; readonly path: string }): Promise<ReadonlySet<string>> {
  const toc = kind === "directory" ? join(path, "toc.dat") : path;
  const reader = new ByteReader(createReadStream(toc) as AsyncIterable<Buffer>);
  try {
    const header = await readHeader(reader);
    if (header === undefined) throw new HoldfastError("backup-damaged", "it is no archive of pg_dump");
    const entries = await readToc(new ArchiveInput(reader, header.intBytes), header);
    return new Set([...entries.values()].flatMap((each) => (each.kind === "TABLE DATA" ? [formatTableKey(each.schema, each.tag)] : [])));
  } finally {
    await reader.close();
  }
}

async function readToc(input: ArchiveInput, header: ArchiveHeader): Promise<ReadonlyMap<number, TocEntry>> {
  const entries = new Map<number, TocEntry>();
  const count = await input.readInt();
  for (let at = 0; at < count; at += 1) {
    const id = await input.readInt();
    await input.readInt(); // whether it has data
    await input.readText(); // table oid
    await input.readText(); // oid
    const tag = (await input.readText()) ?? "";
    const kind = (await input.readText()) ?? "";
    await input.readInt(); // section
    const definition = (await input.readText()) ?? "";
    await input.readText(); // how to drop it
    const copy = (await input.readText()) ?? "";
    const schema = (await input.readText()) ?? "";
    await input.readText(); // tablespace
    if (header.format >= 114) await input.readText(); // access method
    if (header.format >= 116) await input.readInt(); // relation kind
    const owner = (await input.readText()) ?? "";
    await input.readText(); // with oids
    while ((await input.readText()) !== null); // dependencies
    if (header.kind === "custom") await input.reader.read(1 + header.offsetBytes);
    else await input.readText(); // the file of its rows, in a directory
    entries.set(id, { kind, tag, schema, definition, copy, owner });
  }
  return entries;
}

function addDefinitions({ kind, definition, owner }: TocEntry, contents: DatabaseReader): void {
  if (owner !== "" && kind !== "ENCODING" && kind !== "STDSTRINGS") contents.addRole(owner);
  // Written only where a database is to be created too.
  if (kind.startsWith("DATABASE")) return;
  if (kind === "BLOB" || kind === "BLOB METADATA") {
    contents.addLargeObjects(kind === "BLOB" ? 1 : definition.split("\n").filter((line) => line.trim() !== "").length);
    return;
  }
  const scanner = new SqlScanner({
    onStatement: (text, sha256) => contents.addStatement(text, sha256),
    onCommand: () => undefined,
    onComment: () => undefined,
    onRows: () => undefined,
  });
  scanner.push(Buffer.from(definition));
  scanner.finish();
}

/** The rows of one block: line ends, since COPY escapes those in values; less the end mark. */
async function readData(input: ArchiveInput, header: ArchiveHeader): Promise<number> {
  const counter = new LineCounter();
  if (header.compression === "none") {
    for await (const piece of readChunks(input)) counter.push(piece);
    return counter.finish();
  }
  const inflate = createInflate();
  const ended = once(inflate, "end");
  ended.catch(() => undefined);
  inflate.on("data", (piece: Buffer) => counter.push(piece));
  let first = true;
  for await (const piece of readChunks(input)) {
    first = false;
    if (!inflate.write(piece)) await Promise.race([once(inflate, "drain"), ended]);
  }
  if (first) {
    inflate.destroy();
    return 0;
  }
  inflate.end();
  try {
    await ended;
  } catch (error) {
    throw new HoldfastError("backup-damaged", "compressed rows in it are damaged", { cause: error });
  }
  return counter.finish();
}

async function* readChunks(input: ArchiveInput): AsyncGenerator<Buffer, void, undefined> {
  for (let bytes = await input.readInt(); bytes !== 0; bytes = await input.readInt()) {
    if (bytes < 0) throw new HoldfastError("backup-damaged", "a length in it is not possible");
    yield* input.reader.stream(bytes);
  }
}

class LineCounter {
  #lines = 0;
  #end = "";

  push(piece: Buffer): void {
    for (let at = piece.indexOf(0x0a); at !== -1; at = piece.indexOf(0x0a, at + 1)) this.#lines += 1;
    this.#end = (this.#end + piece.subarray(-6).toString("latin1")).slice(-6);
  }

  /** A table's rows end with `\.` and two or three line ends. */
  finish(): number {
    const mark = /(^|\n)\\\.(\n+)$/.exec(this.#end);
    return mark === null ? this.#lines : this.#lines - 1 - ((mark[2]?.length ?? 1) - 1);
  }
}
