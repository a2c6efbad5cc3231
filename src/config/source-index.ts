import type { ConfigProblem } from "./problem.ts";

export type Path = readonly (string | number)[];

export interface Position {
  readonly line: number;
  readonly column: number;
}

/** Where a value stands: its key (its own start for list elements) and the value itself. */
export interface Place {
  readonly file: string;
  readonly key: Position;
  readonly value: Position;
}

/** An environment variable's text whose type the config does not tell: it may be read as a number or as true or false. */
export interface LooseText {
  readonly path: Path;
  readonly text: string;
}

/** Where every value of the merged configuration was written. */
export class SourceIndex {
  readonly #places = new Map<string, Place>();
  readonly #variables = new Map<string, string>();
  readonly loose: LooseText[] = [];
  /** References that gave no value; what is wrong with their place follows from that. */
  readonly broken: Path[] = [];

  record(path: Path, place: Place): void {
    this.#places.set(joinPath(path), place);
  }

  /** Tells that a value came out of an environment variable. */
  recordVariable(path: Path, name: string): void {
    this.#variables.set(joinPath(path), name);
  }

  findVariable(path: Path): string | undefined {
    return this.#variables.get(joinPath(path));
  }

  /** The place of a value, or of the nearest that it is in. */
  find(path: Path): { readonly place: Place; readonly exact: boolean } | undefined {
    for (let length = path.length; length > 0; length -= 1) {
      const place = this.#places.get(joinPath(path.slice(0, length)));
      if (place !== undefined) return { place, exact: length === path.length };
    }
    return undefined;
  }

  /** The dotted path of everything that was written, with `file:line` or `env NAME`. */
  listOrigins(): ReadonlyMap<string, string> {
    const origins = new Map<string, string>();
    for (const [joined, place] of this.#places) {
      const path = joined.split("\0");
      const variable = this.#variables.get(joined);
      origins.set(path.join("."), variable === undefined ? `${place.file}:${place.key.line}` : `env ${variable}`);
    }
    return origins;
  }

  /** A problem at a path: a missing value is told at what should hold it. `at: "key"` points at the key itself. */
  createProblem(
    path: Path,
    at: "key" | "value",
    facts: Omit<ConfigProblem, "file" | "line" | "column" | "path">,
    mainFile: string,
  ): ConfigProblem {
    const found = this.find(path);
    const dotted = path.join(".");
    if (found === undefined) return { file: mainFile, line: 1, column: 1, path: dotted, ...facts };
    const { line, column } = found.exact && at === "value" ? found.place.value : found.place.key;
    return { file: found.place.file, line, column, path: dotted, ...facts };
  }
}

function joinPath(path: Path): string {
  return path.join("\0");
}
