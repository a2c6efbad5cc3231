import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, stat, type FileHandle } from "node:fs/promises";
import { chown } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import type { Identity } from "../../base/identity.ts";
import { parseConnectTarget } from "./dump-contents.ts";
import { databaseStatement } from "./restore-shape.ts";
import type { SpooledDump } from "./restore-spool.ts";
import { SqlScanner } from "./sql-scanner.ts";

/** What psql is told in a dump of pg_dumpall besides where to connect to; we run each part under a restriction of our own. */
const harmless = /^\\(restrict|unrestrict) [A-Za-z0-9]+$|^\\encoding [A-Za-z0-9_]+$/;
const connection = /^\\connect (?:-reuse-previous=on )?(.*)$/s;
const newline = 0x0a;
const begins = "-- PostgreSQL database dump";
const ends = "-- PostgreSQL database dump complete";

/** The part of one database, as a plain dump of its own. The file is the caller's to remove. */
export interface ClusterPart {
  readonly dump: SpooledDump & { readonly database: string };
  /** Statements that make the database and what belongs to it besides its data; none where the dump expects it to be there. */
  readonly statements: readonly string[];
}

/** Statements that stand before the first database: roles, tablespaces. */
export type OnGlobal = (statement: string) => void;

/**
 * Cuts a dump of a whole server into dumps of its databases. Nothing of it is run: a statement belongs to a database by where it stands.
 * @throws backup-damaged for a command of psql's that pg_dumpall does not write
 */
export async function* splitCluster(
  dump: SpooledDump,
  directory: string,
  identity: Identity | null,
  onGlobal: OnGlobal,
  signal: AbortSignal,
): AsyncGenerator<ClusterPart, void, undefined> {
  const splitter = new Splitter(directory, identity, onGlobal);
  try {
    for await (const lines of readLines(dump.path, signal)) yield* splitter.push(lines);
    splitter.finish();
  } finally {
    await splitter.close();
  }
}

/** Whole lines, many at a time. */
async function* readLines(path: string, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
  let rest: Buffer[] = [];
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal }) as AsyncIterable<Buffer>) {
    const end = chunk.lastIndexOf(newline) + 1;
    if (end === 0) {
      rest.push(chunk);
      continue;
    }
    yield Buffer.concat([...rest, chunk.subarray(0, end)]);
    rest = end === chunk.length ? [] : [chunk.subarray(end)];
  }
  if (rest.length > 0) yield Buffer.concat(rest);
}

type Mark = { readonly kind: "begin" | "end" | "command" } | { readonly kind: "connect"; readonly database: string };

class Splitter {
  readonly #directory: string;
  readonly #identity: Identity | null;
  readonly #scanner: SqlScanner;
  #mark: Mark | undefined;
  #connected = "";
  #inside = false;
  #statements: string[] = [];
  #file: { readonly handle: FileHandle; readonly path: string } | undefined;

  constructor(directory: string, identity: Identity | null, onGlobal: OnGlobal) {
    this.#directory = directory;
    this.#identity = identity;
    this.#scanner = new SqlScanner({
      onStatement: (text) => {
        if (!this.#inside) onGlobal(text);
        else if (databaseStatement.test(text)) this.#statements.push(text);
      },
      onCommand: (line) => {
        this.#mark = parseCommand(line);
      },
      onComment: (line) => {
        if (line === begins) this.#mark = { kind: "begin" };
        else if (line === ends) this.#mark = { kind: "end" };
      },
      onRows: () => undefined,
    });
  }

  /** Lines that may mean something stand alone: whether they do, or are in a text or among rows, the scanner knows. */
  async *push(lines: Buffer): AsyncGenerator<ClusterPart, void, undefined> {
    let from = 0;
    for (let at = 0; at < lines.length;) {
      const end = lines.indexOf(newline, at) + 1 || lines.length;
      if (isCandidate(lines, at)) {
        await this.#pass(lines.subarray(from, at));
        yield* this.#passMark(lines.subarray(at, end));
        from = end;
      }
      at = end;
    }
    await this.#pass(lines.subarray(from));
  }

  async #pass(text: Buffer): Promise<void> {
    if (text.length === 0) return;
    this.#scanner.push(text);
    await this.#file?.handle.writeFile(text);
  }

  async *#passMark(line: Buffer): AsyncGenerator<ClusterPart, void, undefined> {
    this.#mark = undefined;
    this.#scanner.push(line);
    const mark = this.#readMark();
    if (mark === undefined) await this.#file?.handle.writeFile(line);
    else if (mark.kind === "begin") {
      this.#inside = true;
      this.#statements = [];
      await this.#openFile();
    } else if (mark.kind === "connect") {
      this.#connected = mark.database;
      // What came before made the database, or gave it its settings.
      if (this.#inside) await this.#openFile();
    } else if (mark.kind === "end") {
      this.#inside = false;
      yield await this.#endFile();
    }
  }

  #readMark(): Mark | undefined {
    return this.#mark;
  }

  async #openFile(): Promise<void> {
    if (this.#file !== undefined) {
      await this.#file.handle.truncate(0);
      await this.#file.handle.close();
      this.#file = { path: this.#file.path, handle: await open(this.#file.path, "w", 0o600) };
      return;
    }
    const path = join(this.#directory, `part-${randomBytes(4).toString("hex")}`);
    this.#file = { path, handle: await open(path, "wx", 0o600) };
    if (this.#identity !== null) await chown(path, this.#identity.uid, this.#identity.gid);
  }

  async #endFile(): Promise<ClusterPart> {
    const file = this.#file;
    if (file === undefined) throw new HoldfastError("backup-damaged", "a database's part has an end and no beginning");
    this.#file = undefined;
    await file.handle.close();
    const { size: bytes } = await stat(file.path);
    const name = `the part of ${JSON.stringify(this.#connected)}`;
    return {
      dump: { kind: "plain", path: file.path, name, database: this.#connected, bytes },
      statements: this.#statements,
    };
  }

  finish(): void {
    if (this.#scanner.finish() === "cut" || this.#inside) throw new HoldfastError("backup-incomplete", "the dump is cut");
  }

  async close(): Promise<void> {
    await this.#file?.handle.close();
  }
}

/** `\c…`, `\r…` and so on (rows may begin with `\N`), and the lines at both ends of a database's part. */
function isCandidate(lines: Buffer, at: number): boolean {
  const [first, second = 0] = [lines[at], lines[at + 1]];
  if (first === 0x5c) return second !== 0x2e && second !== 0x4e && second !== 0x5c;
  return first === 0x2d && second === 0x2d && lines.toString("latin1", at, at + begins.length) === begins;
}

function parseCommand(line: string): Mark {
  const [, target] = connection.exec(line) ?? [];
  if (target !== undefined) return { kind: "connect", database: parseConnectTarget(target.trim()) };
  if (harmless.test(line)) return { kind: "command" };
  throw new HoldfastError("backup-damaged", `the dump holds a command for psql that pg_dumpall does not write: ${line.slice(0, 60)}`, {
    hint: "Nothing of it was run. Do not trust this dump.",
  });
}
