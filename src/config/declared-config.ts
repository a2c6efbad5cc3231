import { Secret, secretMask } from "../base/secret.ts";
import { redactText } from "../telemetry/redact.ts";
import type { ConfigParts, DatastoreConfig, DeclaredConfig, JobConfig } from "./config.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Shorter ones would mask words that only happen to be equal; where they stand is masked by its key as well. */
const shortestKnown = 6;
/** Within other texts only longer ones are looked for, and only in what is run or asked: paths, units and names must stay what they are. */
const shortestWithin = 10;
const askedKeys = new Set([
  "command",
  "shell",
  "http",
  "sql",
  "stop",
  "start",
  "check",
  "pause",
  "resume",
  "running",
  "ask",
  "freeze",
  "thaw",
]);
/** Of a job: what it runs and asks. */
const ranKeys = new Set(["restore", "freeze", "thaw"]);
const plainKeys = new Set(["unit", "dockerCompose", "runAs", "cwd", "directory", "file", "project", "datastore"]);
const secretFlag = /^--?[\w-]*(?:pass|password|passwd|passphrase|token|secret|credential|api[-_]?key|access[-_]?key)$/i;

/** What hooks and checks are made of besides what the file says. */
const ownWords =
  "command http sql /bin/sh -c systemctl start stop freeze thaw pause unpause is-active --quiet docker compose -f -p ps --status running --services".split(
    " ",
  );

/** How far a known secret is looked for: as the whole of a text, or within it too. */
type Reach = "whole" | "within";

/** What the hooks of services are made of besides. */
const ownServiceWords = [
  ..."pause resume freeze thaw unpause inspect show --all --format json --type=container unit container compose status".split(" "),
  ...["LoadState", "ActiveState", "FreezerState", "InactiveExitTimestampMonotonic"].map((each) => `--property=${each}`),
  "--format={{.State.Status}} {{.State.StartedAt}}",
];

/**
 * The sections as they are written in the files, for whoever must write them again: references stay references, and a secret that stands in
 * the file itself is `***`, by the place where a schema takes a secret, by name (`env` of a command) and by value.
 */
export function createDeclared(written: DeclaredConfig, parts: ConfigParts): DeclaredConfig {
  const known = collectSecrets(parts);
  const mask = (section: Fields, find: (name: string) => unknown): Fields =>
    Object.fromEntries(Object.entries(section).map(([name, entry]) => [name, maskValue(entry, find(name), known, "whole")]));
  return {
    datastores: mask(written.datastores, (name) => parts.datastores.get(name)?.options),
    destinations: mask(written.destinations, (name) => parts.destinations.get(name)?.options),
    jobs: Object.fromEntries(Object.entries(written.jobs).map(([name, job]) => [name, maskRun(job, known)])),
    notify: mask(written.notify, (name) => parts.channels.get(name)),
  };
}

/**
 * A job as it is in force, its secrets masked in the same ways. Of what it runs and asks only those texts are shown that stand in the file:
 * what a reference there was replaced by may be a secret, and nothing tells.
 */
export function maskJob(job: JobConfig, parts: ConfigParts, declared: DeclaredConfig): unknown {
  const known = collectSecrets(parts);
  const written = collectTexts(declared.jobs[job.name], new Set(ownWords));
  const show = (value: unknown): unknown => showOnly(value, written, known);
  const { stop, start, check } = job.restore;
  return {
    ...job,
    freeze: show(job.freeze),
    thaw: show(job.thaw),
    restore: { ...job.restore, stop: show(stop), start: show(start), check: show(check) },
  };
}

/** A datastore as it is in force; of the hooks of its service the same is shown as of a job's. */
export function maskDatastore({ service, ...rest }: DatastoreConfig, parts: ConfigParts, declared: DeclaredConfig): unknown {
  if (service === undefined) return rest;
  const written = collectTexts(declared.datastores[rest.name], new Set([...ownWords, ...ownServiceWords]));
  const units = [...written].map((text) => `${text}.service`);
  const { key: _, what: __, maxDowntimeMs, ...hooks } = service;
  return { ...rest, service: { maxDowntimeMs, ...(showOnly(hooks, new Set([...written, ...units]), collectSecrets(parts)) as Fields) } };
}

/** Besides what it runs and asks a job has names and times, which may happen to be somebody's password. */
function maskRun(job: unknown, known: ReadonlySet<string>): unknown {
  if (!isFields(job)) return job;
  const none: ReadonlySet<string> = new Set();
  return Object.fromEntries(
    Object.entries(job).map(([key, value]) => [
      key,
      maskValue(value, undefined, ranKeys.has(key) ? known : none, askedKeys.has(key) ? "within" : "whole"),
    ]),
  );
}

function collectTexts(value: unknown, found: Set<string>): ReadonlySet<string> {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") found.add(String(value));
  else if (typeof value === "object" && value !== null && !isReference(value))
    for (const each of Object.values(value)) collectTexts(each, found);
  return found;
}

/** As they were written, or as the file shows them masked. */
function showOnly(value: unknown, texts: ReadonlySet<string>, known: ReadonlySet<string>): unknown {
  if (typeof value === "string") return [value, maskText(value, known, "within")].find((text) => texts.has(text)) ?? secretMask;
  if (Array.isArray(value)) return value.map((each) => showOnly(each, texts, known));
  return isFields(value) ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, showOnly(each, texts, known)])) : value;
}

/**
 * Sections as they are shown, by their names: what looks like a secret is masked, and what jobs run and channels are given is searched for
 * those that are known.
 * @param parts undefined: none is known
 */
export function maskSections<Sections extends object>(sections: Sections, parts?: ConfigParts): Sections {
  const none: ReadonlySet<string> = new Set();
  const known = parts === undefined ? none : collectSecrets(parts);
  const mask = (name: string, section: unknown): unknown => {
    if (name === "datastores" && isFields(section))
      return Object.fromEntries(Object.entries(section).map(([each, value]) => [each, maskServed(value, known)]));
    if (name !== "jobs" || !isFields(section)) return maskValue(section, undefined, name === "notify" ? known : none, "whole");
    return Object.fromEntries(Object.entries(section).map(([job, value]) => [job, maskRun(value, known)]));
  };
  return Object.fromEntries(Object.entries(sections).map(([name, section]) => [name, mask(name, section)])) as Sections;
}

/** A datastore has paths and names; its service has commands, as a job has. */
function maskServed(datastore: unknown, known: ReadonlySet<string>): unknown {
  const none: ReadonlySet<string> = new Set();
  if (!isFields(datastore) || !isFields(datastore["service"])) return maskValue(datastore, undefined, none, "whole");
  const { service, ...rest } = datastore;
  const { key: _, ...shown } = service;
  return { ...(maskValue(rest, undefined, none, "whole") as Fields), service: maskValue(shown, undefined, known, "whole") };
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
function maskValue(written: unknown, read: unknown, known: ReadonlySet<string>, reach: Reach): unknown {
  if (read instanceof Secret && !isReference(written)) return secretMask;
  if (isReference(written)) {
    if (!("default" in written)) return written;
    return { ...written, default: read instanceof Secret ? secretMask : maskValue(written["default"], undefined, known, reach) };
  }
  if (typeof written === "string") return maskText(written, known, reach);
  if (Array.isArray(written)) {
    return written.map((item: unknown, at) => {
      const before: unknown = written[at - 1];
      if (typeof item === "string" && typeof before === "string" && secretFlag.test(before)) return secretMask;
      return maskValue(item, Array.isArray(read) ? read[at] : undefined, known, reach);
    });
  }
  if (!isFields(written)) return written;
  const inner: Fields = isFields(read) ? read : {};
  return Object.fromEntries(
    Object.entries(written).map(([key, value]) => [
      key,
      key === "env" && isFields(value)
        ? maskVariables(value)
        : maskValue(value, inner[key], known, askedKeys.has(key) ? "within" : plainKeys.has(key) ? "whole" : reach),
    ]),
  );
}

function maskText(text: string, known: ReadonlySet<string>, reach: Reach): string {
  if (known.has(text)) return secretMask;
  if (reach === "whole") return redactText(text);
  const within = [...known].filter(({ length }) => length >= shortestWithin).toSorted((one, other) => other.length - one.length);
  const cut = within.reduce((rest, secret) => rest.replaceAll(secret, secretMask), text);
  return redactText(cut);
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
