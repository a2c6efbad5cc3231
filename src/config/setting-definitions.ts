import { hostname } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { parseDuration } from "../base/parse-duration.ts";
import { logFormats, logLevels, type Settings } from "./config.ts";
import { durationField } from "../base/fields.ts";
import { absolutePathField, timeZoneField } from "./schema/fields.ts";

/** One setting: its key in the `settings:` section, its environment variable, and how its text is read. */
export interface SettingDefinition {
  readonly key: string;
  readonly env: string;
  readonly doc: string;
  readonly field: z.ZodType;
  /** As it would be written in the file. Undefined: derived from other settings. */
  readonly fallback: string | number | undefined;
}

/** Environment and command line give text. */
const wholeNumber = z
  .union([z.number(), z.string().regex(/^\d+$/, "expected a whole number").transform(Number)])
  .pipe(z.int().min(1).max(64));
const define = (key: string, doc: string, field: z.ZodType, fallback?: string | number): SettingDefinition => ({
  key,
  env: `HOLDFAST_${key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`,
  doc,
  field: field.describe(doc),
  fallback,
});

/** Every setting, in the order of the config reference. */
export const settingDefinitions = [
  define("stateDir", "Queue, catalog and audit trail.", absolutePathField, "/var/lib/holdfast"),
  define("runtimeDir", "Sockets and locks.", absolutePathField, "/run/holdfast"),
  define("stagingDir", "Staged copies; <stateDir>/staging by default.", absolutePathField),
  define("timezone", "Zone of jobs that name none; the system's by default.", timeZoneField),
  define("concurrency", "Tasks that may run at the same time.", wholeNumber, 2),
  define("logLevel", "The least level that is logged.", z.enum(logLevels), "info"),
  define("logFormat", "auto: journal under systemd, text on a terminal, else json.", z.enum(logFormats), "auto"),
  define("socketPath", "Admin socket; <runtimeDir>/admin.sock by default.", absolutePathField),
  define("statusSocketPath", "Read-only socket; <runtimeDir>/status.sock by default.", absolutePathField),
  define(
    "socketGroup",
    "Group of the admin socket, where it exists.",
    z.string().regex(/^[a-z_][a-z0-9_-]*\$?$/i, "expected the name of a group"),
    "holdfast",
  ),
  define("drain", "How long running tasks may go on when the daemon is stopped.", durationField(""), "60s"),
  define("auditKeep", "How long the audit trail is kept.", durationField("", { minMs: 86_400_000 }), "400d"),
  define("historyKeep", "How long finished runs are kept.", durationField("", { minMs: 86_400_000 }), "400d"),
  define("scratchKeep", "How long a scratch place (restore --to scratch) is kept.", durationField("", { minMs: 60_000 }), "24h"),
  define(
    "hostname",
    "Name of this machine in manifests and names; the system's by default.",
    z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/, "expected a host name"),
  ),
] as const satisfies readonly SettingDefinition[];

/** The settings as text became values, with what is derived filled in. */
export function resolveSettings(texts: Readonly<Record<string, unknown>>): Settings {
  const read = <T>(key: string, field: z.ZodType<T>): T => field.parse(texts[key]);
  const optional = (key: string): string | undefined => (texts[key] === undefined ? undefined : read(key, z.string()));
  const stateDir = read("stateDir", absolutePathField);
  const runtimeDir = read("runtimeDir", absolutePathField);
  return {
    stateDir,
    runtimeDir,
    stagingDir: optional("stagingDir") ?? join(stateDir, "staging"),
    timezone: read("timezone", timeZoneField.prefault(Intl.DateTimeFormat().resolvedOptions().timeZone)),
    concurrency: read("concurrency", wholeNumber),
    logLevel: read("logLevel", z.enum(logLevels)),
    logFormat: read("logFormat", z.enum(logFormats)),
    socketPath: optional("socketPath") ?? join(runtimeDir, "admin.sock"),
    statusSocketPath: optional("statusSocketPath") ?? join(runtimeDir, "status.sock"),
    socketGroup: read("socketGroup", z.string()),
    drainMs: parseDuration(texts["drain"]),
    auditKeepMs: parseDuration(texts["auditKeep"]),
    historyKeepMs: parseDuration(texts["historyKeep"]),
    scratchKeepMs: parseDuration(texts["scratchKeep"]),
    hostname: optional("hostname") ?? hostname(),
  };
}
