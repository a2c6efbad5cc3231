import { isUtf8 } from "node:buffer";
import { type BigIntStats, lstatSync, realpathSync, statSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { compileGlob, isGlob, unescapeGlob } from "../../base/glob.ts";
import type { LooseOptions } from "./options.ts";
import { decodeForMatching, escapePath, joinPath } from "../trees/raw-path.ts";
import { scratchPlacePath } from "../trees/survey-tree.ts";
import { walkTree } from "../trees/walk-tree.ts";

export interface LooseFile {
  /** In the backup: relative to the base. */
  readonly name: string;
  readonly path: string;
  /** Where the bytes are: differs from `path` for a symbolic link that the config names. */
  readonly realPath: string;
  readonly stat: BigIntStats;
  readonly lines: boolean;
}

export interface LooseFiles {
  /** Sorted by name. */
  readonly files: readonly LooseFile[];
  /** Patterns that match nothing although they are not optional. */
  readonly missing: readonly string[];
  readonly notes: readonly Note[];
}

interface Pattern {
  readonly path: string;
  readonly optional: boolean;
  readonly lines: boolean;
}

/** The directory that a pattern's matches lie in or below, without glob characters. */
export function findFixedDirectory(pattern: string): string {
  if (!isGlob(pattern)) return dirname(unescapeGlob(pattern));
  const names = pattern.split(sep);
  return unescapeGlob(names.slice(0, names.findIndex(isGlob)).join(sep)) || sep;
}

export function listPatterns(options: LooseOptions): readonly Pattern[] {
  return options.include.map((entry) =>
    typeof entry === "string"
      ? { path: entry, optional: options.optional, lines: false }
      : { path: entry.path, optional: entry.optional ?? options.optional, lines: entry.lines ?? false },
  );
}

/** The directory that names in the backup are relative to. */
export function findBase(options: LooseOptions): string {
  if (options.base !== undefined) return join(options.base, ".");
  const [first = [], ...others] = listPatterns(options).map(({ path }) => join(findFixedDirectory(path), ".").split(sep));
  const shared = first.findIndex((name, index) => others.some((names) => names[index] !== name));
  return (shared === -1 ? first : first.slice(0, shared)).join(sep) || sep;
}

/** Looks for the files that the options name now. Throws `source-unreadable` when a directory cannot be looked into. */
export function findLooseFiles(options: LooseOptions): LooseFiles {
  const finder = new Finder(options);
  for (const pattern of listPatterns(options)) finder.find(pattern);
  return finder.finish();
}

/** Whether a file of this name in the backup would be one of the datastore's, if it were there. */
export function namesFile(options: LooseOptions, name: string): boolean {
  const path = join(findBase(options), name);
  const leaves = options.exclude.some((pattern) => compileGlob(pattern, "match-dots").test(path));
  return !leaves && listPatterns(options).some((pattern) => compileGlob(join(pattern.path, "."), "hide-dots").test(path));
}

class Finder {
  readonly #base: string;
  readonly #excludes: readonly RegExp[];
  readonly #lines: (path: string) => boolean;
  readonly #files = new Map<string, LooseFile>();
  readonly #missing: string[] = [];
  readonly #notes: Note[] = [];

  constructor(options: LooseOptions) {
    this.#base = findBase(options);
    this.#excludes = options.exclude.map((pattern) => compileGlob(pattern, "match-dots"));
    const { lines } = options;
    const globs = typeof lines === "boolean" ? [] : lines.map((pattern) => compileGlob(pattern, "match-dots"));
    this.#lines = (path) => lines === true || globs.some((glob) => glob.test(path));
  }

  find(pattern: Pattern): void {
    const found = isGlob(pattern.path) ? this.#matchGlob(pattern) : this.#addNamed(pattern);
    if (!found && !pattern.optional) this.#missing.push(pattern.path);
  }

  finish(): LooseFiles {
    const files = [...this.#files.values()].sort((one, other) => Buffer.compare(Buffer.from(one.name), Buffer.from(other.name)));
    return { files, missing: this.#missing, notes: this.#notes };
  }

  #addNamed(pattern: Pattern): boolean {
    const path = join(unescapeGlob(pattern.path), ".");
    const stat = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) return false;
    if (!stat.isSymbolicLink()) return this.#add(Buffer.from(path), stat, pattern);
    const target = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (target === undefined) return false;
    const realPath = realpathSync(path);
    this.#notes.push({
      level: "info",
      code: "link-followed",
      message: `${escapePath(path)} is a symbolic link; kept is ${escapePath(realPath)}`,
    });
    return this.#add(Buffer.from(path), target, pattern, realPath);
  }

  #matchGlob(pattern: Pattern): boolean {
    const directory = findFixedDirectory(pattern.path);
    if (lstatSync(directory, { throwIfNoEntry: false }) === undefined) return false;
    const glob = compileGlob(pattern.path, "hide-dots");
    const deep = pattern.path.includes("**");
    const depth = pattern.path.split(sep).length - join(directory, "x").split(sep).length;
    let found = false;
    const enter = ({ path }: { readonly path: Buffer }): boolean =>
      (deep || countNames(path) <= depth) && !scratchPlacePath.test(joinPath(directory, path).toString("latin1"));
    const unreadable = (path: Buffer, errno: string): void => {
      this.#notes.push({
        level: "partial",
        code: "directory-unreadable",
        message: `${escapePath(joinPath(directory, path))} could not be listed: ${errno}`,
      });
    };
    for (const entry of walkTree(directory, { enter, unreadable })) {
      const path = joinPath(directory, entry.path);
      if (entry.path.length === 0 || !glob.test(decodeForMatching(path))) continue;
      if (entry.stat.isDirectory() && deep) continue;
      if (this.#add(path, entry.stat, pattern)) found = true;
    }
    return found;
  }

  /** True also for a file that the options leave out: it is there. */
  #add(path: Buffer, stat: BigIntStats, pattern: Pattern, realPath?: string): boolean {
    const text = decodeForMatching(path);
    if (this.#excludes.some((glob) => glob.test(text))) return true;
    if (!isUtf8(path)) {
      this.#notes.push({
        level: "partial",
        code: "name-not-kept",
        message: `${escapePath(path)} is left out: its name is no UTF-8; use \`root:\`, which keeps any name`,
      });
      return true;
    }
    if (!stat.isFile()) {
      const level = stat.isDirectory() ? "info" : "partial";
      this.#notes.push({ level, code: "type-not-kept", message: `${escapePath(path)} is left out: it is ${describeType(stat)}` });
      return !stat.isDirectory();
    }
    const name = relative(this.#base, text);
    if (name === "" || name.startsWith(".."))
      throw new HoldfastError("config-invalid", `Cannot name "${text}" in the backup: it lies outside ${this.#base}`);
    const lines = pattern.lines || this.#lines(text) || this.#files.get(text)?.lines === true;
    this.#files.set(text, { name, path: text, realPath: realPath ?? text, stat, lines });
    return true;
  }
}

function describeType(stat: BigIntStats): string {
  if (stat.isDirectory()) return "a directory";
  if (stat.isSymbolicLink()) return "a symbolic link";
  if (stat.isFIFO()) return "a FIFO";
  return stat.isSocket() ? "a socket" : "a device";
}

function countNames(path: Buffer): number {
  return path.length === 0 ? 0 : path.reduce((count, byte) => (byte === 0x2f ? count + 1 : count), 1);
}
