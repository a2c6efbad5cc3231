import type { z } from "zod";
import { explainIssues, noteAllowedKeys } from "./explain-issues.ts";
import type { ConfigProblem } from "./problem.ts";
import { readFlag, readNumber } from "./references.ts";
import type { Path, SourceIndex } from "./source-index.ts";

/** Where problems are collected while a configuration is checked. */
export interface CheckContext {
  readonly index: SourceIndex;
  /** Name of the main file, for what is missing altogether. */
  readonly mainFile: string;
  readonly problems: ConfigProblem[];
}

/**
 * Checks a value against a schema; undefined, and problems in the context, when it does not fit.
 * @param value may be changed: text of environment variables becomes a number or a flag where the schema wants one
 * @param extraKeys that are allowed in the outermost mapping beside the schema's
 */
export function checkValue<T>(
  schema: z.ZodType<T>,
  value: unknown,
  path: Path,
  context: CheckContext,
  extraKeys: readonly string[] = [],
): T | undefined {
  let parsed = schema.safeParse(value, { error: noteAllowedKeys });
  if (!parsed.success && convertLoose(parsed.error.issues, value, path, context.index))
    parsed = schema.safeParse(value, { error: noteAllowedKeys });
  if (parsed.success) return parsed.data;
  for (const { path: inner, at, facts } of explainIssues(parsed.error.issues, value, extraKeys)) {
    if (context.index.broken.some((broken) => isWithin(broken, [...path, ...inner]) || isWithin([...path, ...inner], broken))) continue;
    context.problems.push(context.index.createProblem([...path, ...inner], at, facts, context.mainFile));
  }
  return undefined;
}

/** Whether any text that an issue is about came from an environment variable and was converted. */
function convertLoose(issues: readonly z.core.$ZodIssue[], value: unknown, base: Path, index: SourceIndex): boolean {
  let converted = false;
  for (const { path, text } of index.loose) {
    const inner = path.slice(base.length);
    const better = readNumber(text) ?? readFlag(text);
    if (!isWithin(path, base) || better === undefined || !issues.some((issue) => isWithin(inner, issue.path as Path))) continue;
    converted = writeAt(value, inner, better) || converted;
  }
  return converted;
}

function isWithin(inner: Path, outer: Path): boolean {
  return outer.every((part, at) => inner[at] === part);
}

/** Replaces a value inside plain data; false when nothing is there. */
export function writeAt(root: unknown, path: Path, value: unknown): boolean {
  let holder = root;
  for (const part of path.slice(0, -1))
    holder = typeof holder === "object" && holder !== null ? (holder as Record<string | number, unknown>)[part] : undefined;
  const last = path.at(-1);
  if (typeof holder !== "object" || holder === null || last === undefined || !Object.hasOwn(holder, last)) return false;
  (holder as Record<string | number, unknown>)[last] = value;
  return true;
}
