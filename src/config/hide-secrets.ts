import { Secret } from "../base/secret.ts";

/**
 * A driver's options as they were written, with a Secret wherever its schema takes one: what came from the environment, or stands in the
 * file itself, is plain text until then and would go into manifests (F71).
 * @param parsed what the schema made of the same options
 */
export function hideSecrets(written: unknown, parsed: unknown): unknown {
  if (parsed instanceof Secret) return typeof written === "string" ? parsed : written;
  if (!isMapping(written) || !isMapping(parsed)) return written;
  return Object.fromEntries(Object.entries(written).map(([key, value]) => [key, hideSecrets(value, parsed[key])]));
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Secret);
}
