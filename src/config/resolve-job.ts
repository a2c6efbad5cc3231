import { normalize } from "node:path/posix";
import type { JobConfig, RestoreConfig, Settings } from "./config.ts";
import { pickDefined } from "../base/pick-defined.ts";
import type { ParsedJob } from "./schema/job.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** A job with every default filled in. */
export function resolveJob(name: string, parsed: ParsedJob, settings: Settings): JobConfig {
  const { schedule, retention, verify, drill, nice, ionice } = parsed;
  const layout = parsed.layout ?? "directory";
  return {
    name,
    enabled: parsed.enabled ?? true,
    datastores: parsed.datastores,
    onMissing: parsed.onMissing ?? "fail",
    consistency: parsed.consistency ?? "each",
    freeze: parsed.freeze ?? [],
    thaw: parsed.thaw ?? [],
    ...(parsed.consistency === "group" ? { maxFreezeMs: parsed.maxFreeze ?? minuteMs } : {}),
    timezone: parsed.timezone ?? settings.timezone,
    atStart: parsed.atStart ?? false,
    atStartMinAgeMs: parsed.atStartMinAge ?? (schedule?.kind === "interval" ? Math.ceil(schedule.everyMs / 2) : hourMs),
    catchUp: parsed.catchUp ?? true,
    destination: parsed.destination,
    folder: parsed.folder === undefined ? name : normalize(parsed.folder),
    copies: parsed.copies ?? [],
    fixedCopies: (parsed.fixedCopies ?? []).map(({ datastore, path, owner, mode = "0640" }) => ({
      datastore,
      path: normalize(path),
      mode: Number.parseInt(mode, 8),
      ...pickDefined({ owner }),
    })),
    layout,
    nameTemplate: parsed.name ?? "{job}_{YYYYMMDD}_{HHmmss}",
    nameZone: parsed.nameZone ?? "job",
    compression: parsed.compression ?? { method: layout === "file" ? "none" : "zstd" },
    infoFiles: [...new Set(parsed.infoFiles)],
    shrink: resolveShrink(parsed.shrink),
    restore: resolveRestore(parsed.restore ?? {}),
    notify: [...new Set(parsed.notify)],
    maxDurationMs: parsed.maxDuration ?? 6 * hourMs,
    retry: { attempts: parsed.retry?.attempts ?? 2, backoffMs: parsed.retry?.backoff ?? minuteMs },
    ...pickDefined({ schedule, retention, verify, drill, nice, ionice, maxAgeMs: parsed.maxAge }),
  };
}

function resolveShrink(parsed: ParsedJob["shrink"]): JobConfig["shrink"] {
  return parsed === "off" ? parsed : { ratio: parsed?.ratio ?? 0.5, minHistory: parsed?.minHistory ?? 3 };
}

function resolveRestore(parsed: NonNullable<ParsedJob["restore"]>): RestoreConfig {
  return {
    stop: parsed.stop ?? [],
    start: parsed.start ?? [],
    check: parsed.check ?? [],
    undoKeepMs: parsed.undoKeep ?? 14 * dayMs,
    undoKeepLast: parsed.undoKeepLast ?? 3,
    askToStart: parsed.askToStart ?? false,
  };
}
