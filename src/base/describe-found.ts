import { Secret } from "./secret.ts";

/** A value as a message shows it: short, on one line, never a secret. */
export function describeFound(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return value instanceof Secret ? "a secret" : "a mapping";
}
