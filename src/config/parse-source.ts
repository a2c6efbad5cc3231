import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, type Document, type Node, type Pair } from "yaml";
import { describeCause } from "../base/errors.ts";
import { describeFound } from "../base/describe-found.ts";
import { type ConfigProblem } from "./problem.ts";
import { readReference, type PendingSecret, type ReferenceSite } from "./references.ts";
import type { Path, Position, SourceIndex } from "./source-index.ts";

/** More than these is no configuration but an attack on the parser (aliases of aliases). */
const maxDepth = 40;
const maxNodes = 50_000;

export interface ParsedSource {
  /** Plain data: maps became objects. Undefined when nothing can be made of the file. */
  readonly value: unknown;
  readonly problems: readonly ConfigProblem[];
  readonly secrets: readonly PendingSecret[];
  /** The mappings that stand for a value that is elsewhere, as they were written. */
  readonly references: readonly { readonly path: Path; readonly written: unknown }[];
}

/** One YAML file as plain data, with the place of every value noted in `index`. Throws nothing. */
export function parseSource(file: string, text: string, index: SourceIndex, env: ReferenceSite["env"]): ParsedSource {
  const lines = new LineCounter();
  let document: Document.Parsed;
  try {
    // Its own search for repeated keys takes the square of their number; Walker does it.
    document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: false,
      version: "1.2",
      merge: false,
      stringKeys: false,
    });
  } catch (thrown) {
    return {
      value: undefined,
      problems: [{ file, line: 1, column: 1, path: "", message: `cannot be read as YAML: ${describeCause(thrown)}` }],
      secrets: [],
      references: [],
    };
  }
  const flaws = [...document.errors, ...document.warnings].slice(0, 20).map((flaw): ConfigProblem => {
    const { line, col } = lines.linePos(flaw.pos[0]);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1), path: "", message: describeFlaw(flaw.code, flaw.message) };
  });
  // What follows a syntax error is guesswork: its other problems would mislead.
  if (document.errors.length > 0) return { value: undefined, problems: flaws, secrets: [], references: [] };
  const walker = new Walker(file, document, lines, index, env);
  const read = walker.read(document.contents, [], 0);
  const value = walker.isTooLarge ? undefined : read;
  return { value, problems: [...flaws, ...walker.problems], secrets: walker.secrets, references: walker.references };
}

function describeFlaw(code: string, message: string): string {
  if (code === "TAB_AS_INDENT") return "a tab is used as indentation; YAML allows only spaces";
  if (code === "MULTIPLE_DOCS") return "a second document starts here; a config file is one YAML document";
  const first = message.split("\n")[0] ?? message;
  return first.charAt(0).toLowerCase() + first.slice(1);
}

class Walker implements ReferenceSite {
  readonly problems: ConfigProblem[] = [];
  readonly secrets: PendingSecret[] = [];
  readonly references: { readonly path: Path; readonly written: unknown }[] = [];
  readonly file: string;
  readonly index: SourceIndex;
  readonly env: ReferenceSite["env"];
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;
  #nodes = 0;
  #tooLarge = false;

  constructor(file: string, document: Document.Parsed, lines: LineCounter, index: SourceIndex, env: ReferenceSite["env"]) {
    this.file = file;
    this.#document = document;
    this.#lines = lines;
    this.index = index;
    this.env = env;
  }

  /** What was read then is not whole. */
  get isTooLarge(): boolean {
    return this.#tooLarge;
  }

  read(node: unknown, path: Path, depth: number): unknown {
    this.#nodes += 1;
    if (this.#nodes > maxNodes || depth > maxDepth) {
      if (!this.#tooLarge) this.refuse(path, node, `nested or repeated beyond ${maxDepth} levels or ${maxNodes} values`);
      this.#tooLarge = true;
      return null;
    }
    if (this.#tooLarge) return null;
    if (isAlias(node)) return this.read(node.resolve(this.#document), path, depth + 1);
    if (isMap(node)) return this.#readMap(node.items, path, depth);
    if (isSeq(node)) return node.items.map((item, position) => this.#readItem(item, [...path, position], depth));
    return isScalar(node) ? this.#readScalar(node.value) : null;
  }

  refuse(path: Path, node: unknown, message: string, more: Pick<ConfigProblem, "allowed" | "didYouMean"> = {}): void {
    const { line, column } = this.#locate(node) ?? this.index.find(path)?.place.key ?? { line: 1, column: 1 };
    this.problems.push({ file: this.file, line, column, path: path.join("."), message, ...more });
  }

  #readScalar(value: unknown): unknown {
    return typeof value === "bigint" ? Number(value) : value;
  }

  #readItem(item: unknown, path: Path, depth: number): unknown {
    const at = this.#locate(item) ?? { line: 1, column: 1 };
    this.index.record(path, { file: this.file, key: at, value: at });
    return this.read(item, path, depth + 1);
  }

  #readMap(pairs: readonly Pair[], path: Path, depth: number): unknown {
    const values = new Map<string, unknown>();
    for (const pair of pairs) {
      const key = isPair(pair) ? this.#readKey(pair, path) : undefined;
      if (key === undefined) continue;
      if (values.has(key)) {
        this.refuse([...path, key], pair.key, `the key ${describeFound(key)} stands here twice`);
        continue;
      }
      const at = this.#locate(pair.key) ?? { line: 1, column: 1 };
      this.index.record([...path, key], { file: this.file, key: at, value: this.#locate(pair.value) ?? at });
      values.set(key, this.read(pair.value, [...path, key], depth + 1));
    }
    const result = Object.fromEntries(values);
    const value = readReference(this, path, result);
    if (value === undefined) return result;
    this.references.push({ path, written: result });
    return value;
  }

  #readKey(pair: Pair, path: Path): string | undefined {
    const key: unknown = isScalar(pair.key) ? pair.key.value : pair.key;
    if (key === "__proto__" || key === "") return this.#refuseKey(path, pair.key, `the key ${describeFound(key)} is not allowed`);
    if (typeof key === "string") return key;
    if (typeof key === "number" || typeof key === "boolean") return String(key);
    return this.#refuseKey(path, pair.key, `a key must be text, found ${key === null ? "nothing" : "a list, mapping or alias"}`);
  }

  #refuseKey(path: Path, node: unknown, message: string): undefined {
    this.refuse(path, node, message);
  }

  #locate(node: unknown): Position | undefined {
    const range = (node as Node | null | undefined)?.range;
    if (range === undefined || range === null) return undefined;
    const { line, col } = this.#lines.linePos(range[0]);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  }
}
