import { secretMask } from "../../base/secret.ts";
import { isReference } from "../../config/declared-config.ts";

/** A value that a backup does not hold, and the new machine must have. */
export interface NeededValue {
  /** `datastores.crm.password` */
  readonly key: string;
  /** `file`, `credential`, `env`: where the config looks for it. `text`: within a text, to be put back by hand in place of `***`. */
  readonly kind: "file" | "credential" | "env" | "text";
  /** The path, or the name. */
  readonly at: string;
  /** `config`: it stood in the config itself. */
  readonly was: "reference" | "config";
  /** Of an environment variable: what holds where it is not set; absent where it must be set. */
  readonly default?: unknown;
}

/** Where secrets are expected that stood in the config itself. */
const secretsDirectory = "/etc/holdfast/secrets";

/** A section with references in the place of secrets, and what must be there for them. Nothing of it is a secret. */
export function rewriteSecrets(value: unknown, path: readonly string[], needed: NeededValue[]): unknown {
  const key = path.join(".");
  if (isReference(value)) {
    needed.push(describeReference(key, value));
    if (value["default"] !== secretMask) return value;
    const { default: _masked, ...rest } = value;
    return rest;
  }
  if (value === secretMask) {
    const at = `${secretsDirectory}/${path.join("-").replaceAll(/[^\w.-]/g, "_")}`;
    needed.push({ key, kind: "file", at, was: "config" });
    return { file: at };
  }
  if (typeof value === "string" && value.includes(secretMask)) needed.push({ key, kind: "text", at: value, was: "config" });
  if (Array.isArray(value)) return value.map((item: unknown, index) => rewriteSecrets(item, [...path, String(index)], needed));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, rewriteSecrets(each, [...path, name], needed)]));
}

function describeReference(key: string, value: Readonly<Record<string, unknown>>): NeededValue {
  const was = value["default"] === secretMask ? "config" : "reference";
  for (const kind of ["file", "credential"] as const) {
    const at = value[kind];
    if (typeof at === "string") return { key, kind, at, was };
  }
  const fallback = value["default"];
  const isKept = fallback !== undefined && fallback !== null && fallback !== secretMask;
  return { key, kind: "env", at: String(value["env"]), was, ...(isKept ? { default: fallback } : {}) };
}
