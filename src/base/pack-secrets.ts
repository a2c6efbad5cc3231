import { Secret } from "./secret.ts";

const tag = "$secret";

/** Prepares a value for a channel between our own processes, where `JSON.stringify` would mask its secrets. */
export function packSecrets(value: unknown): unknown {
  if (value instanceof Secret) return { [tag]: value.reveal() };
  if (Array.isArray(value)) return value.map(packSecrets);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, packSecrets(part)]));
}

/** The reverse of packSecrets. */
export function unpackSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unpackSecrets);
  if (typeof value !== "object" || value === null) return value;
  if (tag in value && typeof value[tag] === "string" && Object.keys(value).length === 1) return new Secret(value[tag]);
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, unpackSecrets(part)]));
}
