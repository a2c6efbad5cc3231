import convict from "convict";
import { z } from "zod";
import { checkValue, type CheckContext } from "./check-value.ts";
import type { Settings } from "./config.ts";
import { explainIssues } from "./explain-issues.ts";
import { resolveSettings, settingDefinitions } from "./setting-definitions.ts";

/** Settings as the command line gives them, by their keys in the file. */
export type SettingFlags = Readonly<Record<string, string | number | undefined>>;

export interface LoadedSettings {
  readonly settings: Settings;
  /** `settings.KEY` to `env NAME` or `flag`; where the others come from is in the source index. */
  readonly origins: ReadonlyMap<string, string>;
}

type Texts = Readonly<Record<string, unknown>>;

/** The schema of the `settings:` section. */
export const settingsSchema = z.strictObject(Object.fromEntries(settingDefinitions.map(({ key, field }) => [key, field.optional()])));

/**
 * Defaults < file < environment < flags, by convict. A value that is wrong is a problem at its own place and left out, so that all
 * problems can be told at once.
 */
export function loadSettings(
  section: Texts,
  env: Readonly<Record<string, string | undefined>>,
  flags: SettingFlags,
  context: CheckContext,
): LoadedSettings {
  checkValue(settingsSchema, section, ["settings"], context);
  const known = settingDefinitions.filter(({ key, field }) => section[key] !== undefined && field.safeParse(section[key]).success);
  const variables = pickValid(
    settingDefinitions.map(({ key, env: name }) => [key, name, env[name]]),
    "environment",
    context,
  );
  const options = pickValid(
    settingDefinitions.map(({ key }) => [key, `--${toKebab(key)}`, flags[key]]),
    "command line",
    context,
  );
  const layers = convict(createConvictSchema(), {
    env: Object.fromEntries(variables.map(([, name, value]) => [name, String(value)])),
    args: [],
  });
  layers.load(Object.fromEntries(known.map(({ key }) => [key, section[key]])));
  for (const [key, , value] of options) layers.set(key, value);
  layers.validate({ allowed: "strict" });
  const texts = Object.fromEntries(Object.entries(layers.getProperties() as Texts).filter(([, value]) => value !== null));
  const origins = [
    ...variables.map(([key, name]) => [`settings.${key}`, `env ${name}`] as const),
    ...options.map(([key, name]) => [`settings.${key}`, `flag ${name}`] as const),
  ];
  return { settings: resolveSettings(texts), origins: new Map(origins) };
}

type Candidate = readonly [key: string, name: string, value: unknown];

/** Those that are given and right; an empty variable counts as not given. */
function pickValid(candidates: readonly Candidate[], file: string, context: CheckContext): readonly Candidate[] {
  return candidates.filter(([key, name, value]) => {
    if (value === undefined || value === "") return false;
    const parsed = settingDefinitions.find((definition) => definition.key === key)?.field.safeParse(value);
    if (parsed === undefined || parsed.success) return parsed !== undefined;
    for (const { facts } of explainIssues(parsed.error.issues, value)) context.problems.push({ file, path: name, ...facts });
    return false;
  });
}

function createConvictSchema(): convict.Schema<Record<string, unknown>> {
  const entries = settingDefinitions.map(({ key, env, doc, field, fallback }) => {
    const format = (value: unknown): void => {
      if (value !== null) field.parse(value);
    };
    return [key, { doc, env, format, default: fallback ?? null, nullable: true }];
  });
  return Object.fromEntries(entries) as convict.Schema<Record<string, unknown>>;
}

function toKebab(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
