import { isUtf8 } from "node:buffer";
import { HoldfastError } from "./errors.ts";
import { compileGlob } from "./glob.ts";

/** Which entries of a datastore are meant: those that a path or glob matches, and everything below them. */
export interface PathSelection {
  /** As they were given, for people. */
  readonly patterns: readonly string[];
  /** @param path relative to the root or base */
  has(path: Buffer | string): boolean;
  /** Patterns that match none of these. */
  listUnmet(paths: Iterable<Buffer | string>): readonly string[];
}

/**
 * @param root what an absolute path must lie below
 * @throws usage for a path that leads elsewhere
 */
export function selectPaths(given: readonly string[], root: string): PathSelection {
  const patterns = given.map((text) => ({ text, glob: compileGlob(cutRoot(text, root), "match-dots") }));
  return {
    patterns: given,
    has(path) {
      const text = readText(path);
      return patterns.some(({ glob }) => matchesUpward(glob, text));
    },
    listUnmet(paths) {
      let unmet = patterns;
      for (const path of paths) {
        if (unmet.length === 0) break;
        const text = readText(path);
        unmet = unmet.filter(({ glob }) => !matchesUpward(glob, text));
      }
      return unmet.map(({ text }) => text);
    },
  };
}

function readText(path: Buffer | string): string {
  return typeof path === "string" ? path : path.toString(isUtf8(path) ? "utf8" : "latin1");
}

function matchesUpward(glob: RegExp, path: string): boolean {
  for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) if (glob.test(path.slice(0, end))) return true;
  return false;
}

function cutRoot(text: string, root: string): string {
  const prefix = root === "/" ? "/" : `${root}/`;
  const relative = (text.startsWith(prefix) ? text.slice(prefix.length) : text).replace(/^(\.\/)+/, "").replace(/\/+$/, "");
  const isPlain =
    relative !== "" && !relative.startsWith("/") && relative.split("/").every((name) => name !== ".." && name !== "." && name !== "");
  if (isPlain) return relative;
  throw new HoldfastError("usage", `"${text}" is no path or glob below ${root}`, {
    hint: "Say it relative to the datastore's directory, as the backup has it.",
  });
}
