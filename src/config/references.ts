import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { findClosest } from "../base/closest-name.ts";
import { describeCause, HoldfastError, readErrno } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import { describeFound } from "../base/describe-found.ts";
import { type ConfigProblem } from "./problem.ts";
import type { Path, SourceIndex } from "./source-index.ts";

/**
 * Values that stand elsewhere: `{env: NAME, default: X, unit: ms}`, and the secrets `{file: /path}` and `{credential: NAME}`.
 * The type of an environment variable's value is that of its default; without one the place where it is used decides.
 */
export interface ReferenceSite {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly index: SourceIndex;
  refuse(path: Path, node: unknown, message: string, more?: Pick<ConfigProblem, "allowed" | "didYouMean">): void;
}

/** A secret that is still to be read. */
export interface PendingSecret {
  readonly path: Path;
  readonly kind: "file" | "credential";
  readonly name: string;
}

const envKeys = ["env", "default", "unit"];
const units = ["ms", "s", "m", "h", "d", "w"] as const;
type Unit = (typeof units)[number];
const isUnit = (value: unknown): value is Unit => units.some((unit) => unit === value);
/** Maps whose keys are free names: `{env: {file: x}}` sets a variable called `file`. */
const freeMaps: ReadonlySet<unknown> = new Set(["env", "headers", "datastores", "destinations", "jobs", "notify"]);
const placeholder = new Secret("");
const maxSecretBytes = 64 * 1024;

type Fields = Readonly<Record<string, unknown>>;

/** The value of a mapping that is a reference; undefined for any other mapping. What is wrong with it is told to the site. */
export function readReference(site: ReferenceSite & { readonly secrets: PendingSecret[] }, path: Path, fields: Fields): unknown {
  if (freeMaps.has(path.at(-1))) return undefined;
  const keys = Object.keys(fields);
  if (typeof fields["env"] === "string") return readVariable(site, path, fields, fields["env"]);
  const [kind] = keys;
  if (keys.length !== 1 || (kind !== "file" && kind !== "credential")) return undefined;
  const name = fields[kind];
  if (typeof name !== "string") return undefined;
  const fault = kind === "file" ? (isAbsolute(name) ? undefined : "the path of a secret must be absolute") : checkCredentialName(name);
  if (fault !== undefined) site.refuse([...path, kind], undefined, `${fault}, found ${describeFound(name)}`);
  else site.secrets.push({ path, kind, name });
  return placeholder;
}

function checkCredentialName(name: string): string | undefined {
  return /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name) ? undefined : "the name of a credential is a plain file name";
}

function readVariable(site: ReferenceSite, path: Path, fields: Fields, name: string): unknown {
  for (const key of Object.keys(fields).filter((each) => !envKeys.includes(each))) {
    const meant = findClosest(key, envKeys);
    site.refuse([...path, key], undefined, `unknown key ${JSON.stringify(key)} beside env`, {
      allowed: envKeys,
      ...(meant === undefined ? {} : { didYouMean: meant }),
    });
  }
  const { default: fallback, unit } = fields;
  const giveUp = (key: string | undefined, message: string, more: Pick<ConfigProblem, "allowed"> = {}): null => {
    site.refuse(key === undefined ? path : [...path, key], undefined, message, more);
    site.index.broken.push(path);
    return null;
  };
  if (unit !== undefined && !isUnit(unit)) return giveUp("unit", `unknown unit ${describeFound(unit)}`, { allowed: units });
  if (typeof fallback === "object" && fallback !== null)
    return giveUp("default", `a default is text, a number, true or false, found ${describeFound(fallback)}`);
  if (unit !== undefined && fallback !== undefined && typeof fallback !== "number") {
    return giveUp("default", `with a unit the default is a number, found ${describeFound(fallback)}`);
  }
  const text = Object.hasOwn(site.env, name) ? site.env[name]?.trim() : undefined;
  if (text === undefined || text === "") {
    if (fallback === undefined || fallback === null)
      return giveUp("env", `the environment variable ${name} is not set and there is no default`);
    return unit === undefined ? fallback : `${Number(fallback)}${unit}`;
  }
  site.index.recordVariable(path, name);
  if (unit === undefined && typeof fallback !== "boolean" && typeof fallback !== "number") site.index.loose.push({ path, text });
  const value = convertText(text, typeof fallback, unit);
  if (value !== undefined) return value;
  return giveUp(
    undefined,
    `the environment variable ${name} must be ${typeof fallback === "boolean" ? "true or false" : "a number"}, found ${describeFound(text)}`,
  );
}

/** `3600000` of `ms` is the duration text `3600000ms`. */
function convertText(text: string, wanted: string, unit: Unit | undefined): unknown {
  if (unit !== undefined) return /^\d+(?:\.\d+)?$/.test(text) ? `${text}${unit}` : undefined;
  if (wanted === "boolean") return readFlag(text);
  if (wanted === "number") return readNumber(text);
  return text;
}

export function readFlag(text: string): boolean | undefined {
  if (/^(?:true|yes|on|1)$/i.test(text)) return true;
  return /^(?:false|no|off|0)$/i.test(text) ? false : undefined;
}

export function readNumber(text: string): number | undefined {
  return /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : undefined;
}

/**
 * Reads a secret from its file, without the newline at its end.
 * @throws HoldfastError `config-invalid` whose message holds no part of the secret
 */
export async function readSecret(pending: PendingSecret, env: ReferenceSite["env"]): Promise<Secret> {
  const refuse = (why: string): never => {
    throw new HoldfastError("config-invalid", `the secret ${pending.kind} ${JSON.stringify(pending.name)} ${why}`);
  };
  const directory = env["CREDENTIALS_DIRECTORY"];
  if (pending.kind === "credential" && directory === undefined) {
    return refuse("is not there: CREDENTIALS_DIRECTORY is not set; systemd sets it for units with LoadCredential=");
  }
  const path = pending.kind === "file" ? pending.name : join(directory ?? "", pending.name);
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const facts = await file.stat();
    if (!facts.isFile()) return refuse("is not a regular file");
    if (facts.size > maxSecretBytes) return refuse(`is larger than ${maxSecretBytes} bytes`);
    const text = (await file.readFile("utf8")).replace(/\r?\n$/, "");
    return text === "" ? refuse("is empty") : new Secret(text);
  } catch (thrown) {
    if (thrown instanceof HoldfastError) throw thrown;
    return refuse(`cannot be read: ${readErrno(thrown) ?? describeCause(thrown)}`);
  }
}
