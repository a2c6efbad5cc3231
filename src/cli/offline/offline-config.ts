import { describeCause, HoldfastError } from "../../base/errors.ts";
import type { Config, Settings } from "../../config/config.ts";
import { loadSettings } from "../../config/load-settings.ts";
import { SourceIndex } from "../../config/source-index.ts";
import type { VerbContext } from "../verb.ts";

export interface OfflineConfig {
  /** Undefined when there is none, or none that can be used. */
  readonly config: Config | undefined;
  readonly settings: Settings;
  /** Why a config that is there is not used. */
  readonly unused: string | undefined;
}

const usualPath = "/etc/holdfast/holdfast.yaml";

/**
 * The config as far as there is one: an emergency must not need it. One that was named and is not there is a mistake all the same.
 * @throws config-missing
 */
export async function loadOfflineConfig(context: VerbContext): Promise<OfflineConfig> {
  try {
    const config = await context.loadConfig();
    return { config, settings: config.settings, unused: undefined };
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    const isNamed = context.configPath !== usualPath;
    if (error.code === "config-missing" && isNamed) throw error;
    return { config: undefined, settings: loadPlainSettings(), unused: error.code === "config-missing" ? undefined : describeCause(error) };
  }
}

/** Defaults and environment variables alone. @throws config-invalid */
function loadPlainSettings(): Settings {
  const context = { index: new SourceIndex(), mainFile: "environment", problems: [] };
  const { settings } = loadSettings({}, process.env, {}, context);
  return settings;
}
