import { Secret, secretMask } from "../base/secret.ts";
import { redactText } from "../telemetry/redact.ts";
import type { ConfigParts, DeclaredConfig, JobConfig } from "./config.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Shorter ones would mask words that only happen to be equal; where they stand is masked by its key as well. */
const shortestKnown = 6;

/**
 * The sections as they are written in the files, for whoever must write them again: references stay references, and a secret that stands in
 * the file itself is `***`, by the place where a schema takes a secret, by name (`env` of a command) and by value.
 */
export function createDeclared(written: DeclaredConfig, parts: ConfigParts): DeclaredConfig {
  const known = collectSecrets(parts);
  const mask = (section: Fields, find: (name: string) => unknown): Fields =>
    Object.fromEntries(Object.entries(section).map(([name, entry]) => [name, maskValue(entry, find(name), known)]));
  return {
    datastores: mask(written.datastores, (name) => parts.datastores.get(name)?.options),
    destinations: mask(written.destinations, (name) => parts.destinations.get(name)?.options),
    jobs: mask(written.jobs, () => undefined),
    notify: mask(written.notify, (name) => parts.channels.get(name)),
  };
}

/** Of a job and what it names. */
export function pickDeclared({ datastores, destinations, jobs, notify }: DeclaredConfig, job: JobConfig): DeclaredConfig {
  const pick = (from: Fields, names: readonly string[]): Fields =>
    Object.fromEntries(names.flatMap((name) => (Object.hasOwn(from, name) ? [[name, from[name]]] : [])));
  return {
    datastores: pick(datastores, job.datastores),
    destinations: pick(destinations, [job.destination, ...job.copies]),
    jobs: pick(jobs, [job.name]),
    notify: pick(notify, job.notify),
  };
}

/** @param read what the config made of the same value, as far as it has the same shape */
function maskValue(written: unknown, read: unknown, known: ReadonlySet<string>): unknown {
  if (isReference(written)) return read instanceof Secret && "default" in written ? { ...written, default: secretMask } : written;
  if (read instanceof Secret) return secretMask;
  if (typeof written === "string") return known.has(written) ? secretMask : redactText(written);
  if (Array.isArray(written)) return written.map((item: unknown, at) => maskValue(item, Array.isArray(read) ? read[at] : undefined, known));
  if (!isFields(written)) return written;
  const inner: Fields = isFields(read) ? read : {};
  return Object.fromEntries(
    Object.entries(written).map(([key, value]) => [
      key,
      key === "env" && isFields(value) ? maskVariables(value) : maskValue(value, inner[key], known),
    ]),
  );
}

/** Nothing tells which of a command's variables is a secret. */
function maskVariables(variables: Fields): Fields {
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [
      name,
      !isReference(value) ? secretMask : "default" in value ? { ...value, default: secretMask } : value,
    ]),
  );
}

/** Every secret that the config has read, from wherever it came. */
function collectSecrets(value: unknown, found = new Set<string>()): ReadonlySet<string> {
  if (value instanceof Secret) {
    if (value.reveal().length >= shortestKnown) found.add(value.reveal());
  } else if (value instanceof Map) for (const each of value.values()) collectSecrets(each, found);
  else if (typeof value === "object" && value !== null) for (const each of Object.values(value)) collectSecrets(each, found);
  return found;
}

/** `{env: NAME, …}`, `{file: PATH}`, `{credential: NAME}`. */
export function isReference(value: unknown): value is Fields {
  if (!isFields(value)) return false;
  const keys = Object.keys(value);
  if (typeof value["env"] === "string") return keys.every((key) => ["env", "default", "unit"].includes(key));
  const [key = ""] = keys;
  return keys.length === 1 && (key === "file" || key === "credential") && typeof value[key] === "string";
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Secret);
}
