import { HoldfastError } from "../../base/errors.ts";
import { pickDefined } from "../../base/pick-defined.ts";
import type { DatastoreConfig } from "../../config/config.ts";
import type { DatastoreSetup } from "../setup.ts";

/**
 * How a backup copies a datastore, and what makes its server stand so.
 * @throws config-invalid where its service cannot do that
 */
export function chooseHold({ name, copy, service }: DatastoreConfig): Pick<DatastoreSetup, "copying" | "hold"> {
  if (copy === undefined) return {};
  const [engage = [], release = []] = copy === "paused" ? [service?.pause, service?.resume] : [service?.stop, service?.start];
  if (service === undefined || engage.length === 0 || release.length === 0)
    throw new HoldfastError("config-invalid", `"${name}" is copied while its server is ${copy}, and nothing says how that is done`, {
      hint: "Give the datastore a `service`, or another way to `copy` it.",
    });
  const { key, ask, maxDowntimeMs } = service;
  return { copying: copy, hold: { engage, release, limitMs: maxDowntimeMs, key, manner: copy, ...pickDefined({ ask }) } };
}
