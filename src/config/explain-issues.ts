import { z } from "zod";
import { findClosest } from "../base/closest-name.ts";
import { explainUnknownKey } from "./explain-key.ts";
import { describeFound } from "../base/describe-found.ts";
import { type ConfigProblem } from "./problem.ts";
import type { Path } from "./source-index.ts";

type Issue = z.core.$ZodIssue;

/** What a schema's issue means to whoever wrote the file. */
export interface Explanation {
  readonly path: Path;
  /** Whether the key or its value is wrong. */
  readonly at: "key" | "value";
  readonly facts: Pick<ConfigProblem, "message" | "found" | "allowed" | "didYouMean">;
}

const typeWords: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping",
  record: "a mapping",
};

/** Allowed keys of mappings by zod's list of unknown ones, which its issues carry by reference. */
const allowedKeys = new WeakMap<object, readonly string[]>();

/** To be passed to `safeParse`: notes what explainIssues needs and zod's finished issues do not tell. */
export const noteAllowedKeys: z.core.$ZodErrorMap = (issue) => {
  if (issue.code === "unrecognized_keys" && issue.inst instanceof z.ZodObject) allowedKeys.set(issue.keys, Object.keys(issue.inst.shape));
  return undefined;
};

/** @param extraKeys allowed beside those of the outermost mapping */
export function explainIssues(issues: readonly Issue[], value: unknown, extraKeys: readonly string[] = []): readonly Explanation[] {
  return issues.flatMap((issue) => explainIssue(issue, value, [], extraKeys));
}

function explainIssue(issue: Issue, root: unknown, base: Path, extraKeys: readonly string[]): readonly Explanation[] {
  const path = [...base, ...issue.path.map((part) => (typeof part === "symbol" ? String(part) : part))];
  const value = readAt(root, path);
  const tell = (message: string, more: Omit<Explanation["facts"], "message"> = {}): readonly Explanation[] => [
    { path, at: "value", facts: { message, found: describeFound(value), ...more } },
  ];
  switch (issue.code) {
    case "unrecognized_keys": {
      const allowed = [...(allowedKeys.get(issue.keys) ?? []), ...(path.length === 0 ? extraKeys : [])];
      return issue.keys.map((key) => ({ path: [...path, key], at: "key", facts: explainUnknownKey(key, allowed) }));
    }
    case "invalid_type":
      if (value === undefined)
        return [{ path, at: "key", facts: { message: `${JSON.stringify(String(path.at(-1) ?? "value"))} is missing` } }];
      return tell(
        isOwnMessage(issue)
          ? issue.message
          : `expected ${typeWords[issue.expected] ?? issue.expected}, found ${describeFound(value)}${describeQuotes(issue.expected, value)}`,
      );
    case "invalid_value": {
      const allowed = issue.values.map(String);
      if (value === undefined)
        return [{ path, at: "key", facts: { message: `${JSON.stringify(String(path.at(-1)))} is missing`, allowed } }];
      return tell(`unknown value ${describeFound(value)}`, { allowed, ...suggest(value, allowed) });
    }
    case "invalid_union":
      return isOwnMessage(issue) ? tell(issue.message) : explainUnion(issue.errors, root, path, extraKeys);
    case "too_small":
    case "too_big":
      return tell(isOwnMessage(issue) ? issue.message : describeLimit(issue, value));
    case "invalid_key":
      return [{ path, at: "key", facts: { message: issue.issues[0]?.message ?? issue.message } }];
    case "custom": {
      const at = issue.params?.["at"] === "key" ? "key" : "value";
      const found = issue.params?.["secret"] === true ? {} : { found: describeFound(value) };
      return [{ path, at, facts: { message: addFound(lowerFirst(issue.message), value), ...found, ...readParams(issue.params) } }];
    }
    default:
      return tell(addFound(lowerFirst(issue.message), value));
  }
}

/** Drivers' messages such as "must be an absolute path" do not say what was found. */
function addFound(message: string, value: unknown): string {
  return message.startsWith("must ") ? `${message}, found ${describeFound(value)}` : message;
}

function lowerFirst(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}

/** What a schema's own check tells beside its message: `params: { allowed, didYouMean }`. */
function readParams(params: Readonly<Record<string, unknown>> = {}): Pick<ConfigProblem, "allowed" | "didYouMean"> {
  const { allowed, didYouMean } = params;
  return {
    ...(Array.isArray(allowed) ? { allowed: allowed.map(String) } : {}),
    ...(typeof didYouMean === "string" ? { didYouMean } : {}),
  };
}

/** zod's own texts start with these; a schema's own message is better than what can be made up here. */
function isOwnMessage(issue: Issue): boolean {
  return !/^(?:Invalid|Too |Unrecognized)/.test(issue.message);
}

function suggest(value: unknown, allowed: readonly string[]): Pick<ConfigProblem, "didYouMean"> {
  const meant = typeof value === "string" ? findClosest(value, allowed) : undefined;
  return meant === undefined ? {} : { didYouMean: meant };
}

/** The branches of a union differ in the type of their input: the one that accepts this type says what is wrong. */
function explainUnion(
  branches: readonly (readonly Issue[])[],
  root: unknown,
  path: Path,
  extraKeys: readonly string[],
): readonly Explanation[] {
  const value = readAt(root, path);
  const fitting = branches.filter(
    (issues) => !issues.some((issue) => issue.path.length === 0 && (issue.code === "invalid_type" || issue.code === "invalid_value")),
  );
  const [best] = fitting.toSorted((one, other) => countFaults(one) - countFaults(other));
  if (best !== undefined) return best.flatMap((issue) => explainIssue(issue, root, path, extraKeys));
  const words = branches.flat().flatMap((issue) => {
    if (issue.code === "invalid_value") return issue.values.filter((each) => typeof each === "string").map((each) => JSON.stringify(each));
    return issue.code === "invalid_type" ? [typeWords[issue.expected] ?? issue.expected] : [];
  });
  return [
    {
      path,
      at: "value",
      facts: { message: `expected ${[...new Set(words)].join(" or ")}, found ${describeFound(value)}`, found: describeFound(value) },
    },
  ];
}

function countFaults(issues: readonly Issue[]): number {
  return issues.reduce((count, issue) => count + (issue.code === "unrecognized_keys" ? issue.keys.length : 1), 0);
}

function describeLimit(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig, value: unknown): string {
  const limit = issue.code === "too_small" ? issue.minimum : issue.maximum;
  if (
    issue.code === "too_small" &&
    Number(limit) === 1 &&
    issue.inclusive !== false &&
    issue.origin !== "number" &&
    issue.origin !== "int"
  ) {
    return issue.origin === "string" ? "the text is empty" : "the list is empty";
  }
  const bound =
    issue.code === "too_small"
      ? issue.inclusive === false
        ? "more than"
        : "at least"
      : issue.inclusive === false
        ? "less than"
        : "at most";
  const unit = issue.origin === "string" ? " characters" : issue.origin === "array" ? " elements" : "";
  return `must ${unit === "" ? "be" : "have"} ${bound} ${limit}${unit}, found ${describeFound(value)}`;
}

function describeQuotes(expected: string, value: unknown): string {
  return expected === "string" && (typeof value === "number" || typeof value === "boolean") ? "; put it in quotes" : "";
}

function readAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Readonly<Record<string | number, unknown>>)[part];
  }
  return value;
}
