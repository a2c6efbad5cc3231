import type { Config } from "../config/config.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Core } from "./core.ts";

/** Settings that a running daemon cannot change: they say where it lives. */
const fixedSettings = ["stateDir", "runtimeDir", "socketPath", "statusSocketPath", "concurrency"] as const;

/** Puts a new configuration in force, as a whole. What runs keeps the old one. @throws config-invalid when it needs a restart */
export function applyConfig(core: Core, next: Config): { readonly changed: boolean } {
  const moved = fixedSettings.find((name) => core.config.settings[name] !== next.settings[name]);
  if (moved !== undefined) {
    throw new HoldfastError("config-invalid", `settings.${moved} cannot change while the daemon runs`, {
      hint: "`systemctl restart holdfast` takes it up.",
    });
  }
  const changed = core.config.fingerprint !== next.fingerprint;
  const before = core.config;
  core.config = next;
  core.notifier.replaceChannels(next.channels);
  for (const [name, job] of before.jobs) {
    const after = next.jobs.get(name);
    // A new schedule begins now: slots of the old one are nobody's.
    if (
      after === undefined ||
      JSON.stringify([after.schedule, after.verify, after.drill]) !== JSON.stringify([job.schedule, job.verify, job.drill])
    )
      core.catalog.slots.forget(name);
  }
  core.log.info(changed ? "The new configuration is in force" : "The configuration has not changed", { fingerprint: next.fingerprint });
  return { changed };
}
