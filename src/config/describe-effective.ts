import { describeDuration } from "../base/parse-duration.ts";
import { describeSchedule } from "../schedule/describe-schedule.ts";
import type { Schedule } from "../schedule/parse-schedule.ts";
import type { Config } from "./config.ts";
import { createPlainCopy } from "./config-copy.ts";
import { maskSections } from "./declared-config.ts";

/** One value in force. */
export interface EffectiveValue {
  /** As it is written in a file: `jobs.nightly.maxDuration`. */
  readonly key: string;
  /** For people; secrets are `***`. */
  readonly value: string;
  /** `default`, `holdfast.yaml:12`, `env NAME`, `flag --state-dir`. */
  readonly origin: string;
}

const sectionNames = {
  settings: "settings",
  datastores: "datastores",
  destinations: "destinations",
  jobs: "jobs",
  channels: "notify",
} as const;
const renamed: ReadonlyMap<string, string> = new Map([["nameTemplate", "name"]]);
const schedules: ReadonlySet<string> = new Set(["schedule", "verify", "drill"]);

/** Every value in force and where it came from, defaults included. */
export function describeEffective(config: Config): readonly EffectiveValue[] {
  const rows: EffectiveValue[] = [];
  const add = (path: readonly string[], value: unknown): void => {
    const last = path.at(-1) ?? "";
    if (last === "name" && path.length === 3) return;
    if (typeof value === "object" && value !== null && !Array.isArray(value) && !(schedules.has(last) && path.length === 3)) {
      for (const [key, inner] of Object.entries(value)) add(key === "options" && path.length === 2 ? path : [...path, key], inner);
      return;
    }
    const key = [...path.slice(0, -1), writeKey(last, path)].join(".");
    rows.push({ key, value: describeValue(last, value), origin: findOrigin(config.origins, key, path[0] === "settings" ? 1 : 2) });
  };
  for (const [part, section] of Object.entries(sectionNames)) {
    const plain = createPlainCopy(config[part as keyof typeof sectionNames]);
    add([section], maskSections({ [section]: plain }, config)[section]);
  }
  return rows;
}

function writeKey(key: string, path: readonly string[]): string {
  if (path[0] === "datastores" || path[0] === "destinations") return key;
  return renamed.get(key) ?? key.replace(/(?<=[a-z])Ms$/, "");
}

function describeValue(key: string, value: unknown): string {
  if (typeof value === "number" && key.endsWith("Ms")) return describeDuration(value);
  if (typeof value === "object" && value !== null && schedules.has(key)) return describeSchedule(value as Schedule);
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Of the value itself, else of the mapping that holds it; the entry as a whole says nothing about one of its values. */
function findOrigin(origins: ReadonlyMap<string, string>, key: string, entryDepth: number): string {
  const parts = key.split(".");
  for (let length = parts.length; length > entryDepth; length -= 1) {
    const at = parts.slice(0, length).join(".");
    const own = origins.get(at);
    if (own === undefined) continue;
    const variables = [...origins]
      .filter(([each, origin]) => each.startsWith(`${at}.`) && origin.startsWith("env "))
      .map(([, origin]) => origin);
    return length === parts.length ? [own, ...new Set(variables)].join(", ") : own;
  }
  return "default";
}
