import { isUtf8 } from "node:buffer";
import { HoldfastError } from "./errors.ts";
import { compileGlob } from "./glob.ts";

/** Which entries of a datastore are meant: those that a path or glob matches, and everything below them. */
export interface PathSelection {
  /** As they were given, for people. */
  readonly patterns: readonly string[];
  /** @param path relative to the root or base */
  has(path: Buffer | string): boolean;
  /** Patterns that have met nothing so far. */
  listUnmet(): readonly string[];
}

/**
 * @param root what an absolute path must lie below
 * @throws usage for a path that leads elsewhere
 */
export function selectPaths(given: readonly string[], root: string): PathSelection {
  const patterns = given.map((text) => ({ text, glob: compileGlob(cutRoot(text, root), "match-dots"), met: { yet: false } }));
  return {
    patterns: given,
    has(path) {
      const text = typeof path === "string" ? path : path.toString(isUtf8(path) ? "utf8" : "latin1");
      let found = false;
      for (const { glob, met } of patterns) {
        if (!matchesUpward(glob, text)) continue;
        met.yet = true;
        found = true;
      }
      return found;
    },
    listUnmet: () => patterns.filter(({ met }) => !met.yet).map(({ text }) => text),
  };
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
