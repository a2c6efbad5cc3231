import { HoldfastError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";

const mask = "***";
/** Names whose values are never shown. `key` alone is not one: concurrency keys and object keys are no secrets. */
const secretName =
  /pass(word|phrase|wd|code)|^pass$|secret|token|credential|authorization|cookie|private[-_]?key|api[-_]?key|access[-_]?key|account[-_]?key/i;
/** To the last @: a password may hold one. */
const addressWithUser = /([a-z][a-z0-9+.-]*:\/\/)[^\s/?#]*@/gi;
const authorization = /(authorization:\s*)[^\s"'][^\r\n"']*/gi;
const assignment = /((?<![\w-])[\w-]*(?:password|passwd|passphrase|secret|token|api[-_]?key|access[-_]?key|signature)=)[^\s&"';]+/gi;
/** `--password VALUE` in a command line. */
const flagWithValue =
  /((?:^|\s)--?[\w-]*(?:pass|password|passwd|passphrase|token|secret|credential|api[-_]?key|access[-_]?key)\s+)[^\s-]\S*/gi;
const maxDepth = 6;
const maxItems = 100;

/** Masks what looks like a secret in a text: the user part of an address, `password=…` and the like. */
export function redactText(text: string): string {
  return text
    .replaceAll(addressWithUser, `$1${mask}@`)
    .replaceAll(authorization, `$1${mask}`)
    .replaceAll(assignment, `$1${mask}`)
    .replaceAll(flagWithValue, `$1${mask}`);
}

/** A plain copy for logs and messages: secrets masked by type, by name and in texts; errors, cycles and depth told in JSON. Never throws. */
export function redactValue(value: unknown): unknown {
  return copy(value, new Set(), 0);
}

function copy(value: unknown, above: Set<object>, depth: number): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "function" || typeof value === "symbol") return `[${typeof value}]`;
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Secret) return mask;
  if (above.has(value)) return "[circular]";
  if (depth >= maxDepth) return "[deep]";
  above.add(value);
  try {
    return copyObject(value, above, depth + 1);
  } catch {
    return "[unreadable]";
  } finally {
    above.delete(value);
  }
}

function copyObject(value: object, above: Set<object>, depth: number): unknown {
  if (value instanceof Error) return copyError(value, above, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "[invalid date]" : value.toISOString();
  if (value instanceof URL) return redactText(value.href);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Map) return copyObject(Object.fromEntries(value as ReadonlyMap<string, unknown>), above, depth);
  if (value instanceof Set) return copyObject([...value], above, depth);
  if (Array.isArray(value)) {
    const items = value.slice(0, maxItems).map((item) => copy(item, above, depth));
    return value.length > maxItems ? [...items, `[${value.length - maxItems} more]`] : items;
  }
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, copyNamed(name, part, above, depth)]));
}

function copyNamed(name: string, value: unknown, above: Set<object>, depth: number): unknown {
  const tells = value !== null && value !== undefined && typeof value !== "boolean";
  return tells && secretName.test(name) ? mask : copy(value, above, depth);
}

function copyError(error: Error, above: Set<object>, depth: number): Record<string, unknown> {
  const known = error instanceof HoldfastError;
  return {
    ...(known ? { code: error.code } : { name: error.name, ...("code" in error ? { code: copy(error.code, above, depth) } : {}) }),
    message: redactText(error.message),
    ...(known && error.hint !== undefined ? { hint: redactText(error.hint) } : {}),
    ...(known && error.details !== undefined ? { details: copy(error.details, above, depth) } : {}),
    ...(error.cause === undefined ? {} : { cause: copy(error.cause, above, depth) }),
    // Of an expected failure the stack says nothing; of a bug it says all.
    ...(known || error.stack === undefined ? {} : { stack: redactText(error.stack) }),
  };
}
