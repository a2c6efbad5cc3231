import { resolve } from "node:path";
import type { CheckContext } from "./check-value.ts";
import { checkReferences } from "./check-references.ts";
import type { Config } from "./config.ts";
import { createFingerprint } from "./config-copy.ts";
import { createDeclared } from "./declared-config.ts";
import { loadSettings, type SettingFlags } from "./load-settings.ts";
import { createConfigError } from "./problem.ts";
import { nameMainFile, readSources } from "./read-sources.ts";
import { readChannels, readDatastores, readDestinations, readJobs } from "./read-sections.ts";
import { SourceIndex } from "./source-index.ts";

export interface ConfigSource {
  readonly path: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags: SettingFlags;
}

/**
 * Reads, resolves and checks the whole configuration: all of it is right, or nothing of it is used.
 * @throws HoldfastError `config-missing` without a main file; `config-invalid` that tells every problem, as ConfigProblems in `details.problems`
 */
export async function loadConfig({ path, env, flags }: ConfigSource): Promise<Config> {
  const absolute = resolve(path);
  const context: CheckContext = { index: new SourceIndex(), mainFile: nameMainFile(absolute), problems: [] };
  const sections = await readSources(absolute, env, context);
  const { settings, origins } = loadSettings(sections.settings, env, flags, context);
  const parts = {
    settings,
    datastores: readDatastores(sections.datastores, context),
    destinations: readDestinations(sections.destinations, context),
    jobs: readJobs(sections.jobs, settings, context),
    channels: readChannels(sections.notify, context),
  };
  checkReferences(parts, sections, context);
  if (context.problems.length > 0) throw createConfigError(absolute, context.problems);
  return {
    path: absolute,
    ...parts,
    declared: createDeclared(sections.declared, parts),
    fingerprint: createFingerprint(parts),
    origins: new Map([...context.index.listOrigins(), ...origins]),
  };
}
