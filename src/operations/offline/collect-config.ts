import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { formatInstant } from "../../base/clock.ts";
import { describeCause, HoldfastError } from "../../base/errors.ts";
import { maskSections } from "../../config/declared-config.ts";
import { openAddressed, openDestination } from "../verify.ts";
import type { OfflineBackup, OfflineView } from "./open-view.ts";
import { reconstructConfig } from "./reconstruct-config.ts";
import { rewriteSecrets, type NeededValue } from "./rewrite-config.ts";

const section = z.record(z.string(), z.unknown());
const declaredSchema = z.object({ datastores: section, destinations: section, jobs: section, notify: section });
const copySchema = z.looseObject({
  job: z.looseObject({ name: z.string(), timezone: z.string().optional() }),
  declared: z.unknown().optional(),
});

type Declared = z.output<typeof declaredSchema>;
const sectionNames = ["destinations", "datastores", "jobs", "notify"] as const;

/** The config that backups carry, without secrets. */
export interface CollectedConfig {
  /** Sections of a config file. */
  readonly config: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Where each job stands. `complete`: as it was written; `effective`: an older backup, with what was in force. */
  readonly sources: readonly {
    readonly job: string;
    readonly backup: string;
    readonly host: string | null;
    readonly createdAt: string;
    readonly form: "complete" | "effective";
  }[];
  /** What must be there before the config can be used. */
  readonly needed: readonly NeededValue[];
  /** What backups do not agree about; the newest was taken. */
  readonly conflicts: readonly string[];
  /** Newer ones that could not be read, or carry no config. */
  readonly passedOver: readonly { readonly name: string; readonly reason: string }[];
}

interface JobSource {
  readonly found: OfflineBackup;
  readonly declared: Declared;
  readonly timezone: string | undefined;
  readonly form: "complete" | "effective";
}

/** Of each job the newest backup that carries a config. @throws backup-not-found when none does */
export async function collectConfig(view: OfflineView, signal: AbortSignal): Promise<CollectedConfig> {
  const passedOver = view.unreadable.map(({ key, reason }) => ({ name: key, reason }));
  const sources: JobSource[] = [];
  // What was saved before a restore carries a config too, and is only newer where nothing else is.
  const found = [...view.found].sort((one, other) => Number(one.backup.class !== "backup") - Number(other.backup.class !== "backup"));
  for (const each of found) {
    signal.throwIfAborted();
    if (sources.some(({ found: { backup } }) => backup.job === each.backup.job)) continue;
    const source = await readSource(each, signal);
    if ("reason" in source) passedOver.push({ name: each.backup.name, reason: source.reason });
    else sources.push(source);
  }
  if (sources.length === 0) {
    const reasons = passedOver.slice(0, 5).map(({ name, reason }) => `${name} (${reason})`);
    const hint = reasons.length === 0 ? {} : { hint: `Passed over: ${reasons.join("; ")}.` };
    throw new HoldfastError("backup-not-found", `No backup at ${view.place.path} carries a config`, hint);
  }
  return merge(sources, view, passedOver);
}

async function readSource(found: OfflineBackup, signal: AbortSignal): Promise<JobSource | { readonly reason: string }> {
  let config: unknown;
  try {
    await using destination = await openDestination(found.address.destination);
    config = (await openAddressed(destination, found.address, signal)).manifest.config;
  } catch (error) {
    if (!(error instanceof HoldfastError) || signal.aborted) throw error;
    return { reason: describeCause(error) };
  }
  const copy = copySchema.safeParse(config);
  if (!copy.success) return { reason: "it carries no config" };
  const declared = declaredSchema.safeParse(copy.data.declared);
  const { timezone } = copy.data.job;
  if (declared.success) return { found, declared: maskSections(declared.data), timezone, form: "complete" };
  return { found, declared: maskSections({ ...reconstructConfig(copy.data), notify: {} }), timezone, form: "effective" };
}

function merge(sources: readonly JobSource[], view: OfflineView, passedOver: CollectedConfig["passedOver"]): CollectedConfig {
  const newest = [...sources].sort((one, other) => other.found.backup.createdAtMs - one.found.backup.createdAtMs);
  const merged: Record<(typeof sectionNames)[number], Record<string, unknown>> = { destinations: {}, datastores: {}, jobs: {}, notify: {} };
  const taken = new Map<string, string>();
  const conflicts = describeHosts(view);
  for (const { declared, found } of newest) {
    for (const name of sectionNames) {
      for (const [entry, value] of Object.entries(declared[name])) {
        const key = `${name}.${entry}`;
        const from = taken.get(key);
        if (from === undefined) {
          taken.set(key, found.backup.name);
          merged[name][entry] = value;
        } else if (!isDeepStrictEqual(merged[name][entry], value))
          conflicts.push(`${key}: ${found.backup.name} has it otherwise than ${from}, which is newer and was taken`);
      }
    }
  }
  const needed: NeededValue[] = [];
  const settings = placeTimezone(newest, merged.jobs);
  const used = sectionNames.filter((name) => Object.keys(merged[name]).length > 0);
  const written = used.map((name) => [name, rewriteSecrets(merged[name], [name], needed) as Record<string, unknown>] as const);
  return {
    config: { ...settings, ...Object.fromEntries(written) },
    sources: newest.map(({ found: { backup }, form }) => ({
      job: backup.job,
      backup: backup.name,
      host: backup.host ?? null,
      createdAt: formatInstant(backup.createdAtMs),
      form,
    })),
    needed,
    conflicts,
    passedOver,
  };
}

/** Schedules, names and the calendar of retention mean the times of a zone, which may have been the old machine's own. */
function placeTimezone(sources: readonly JobSource[], jobs: Record<string, unknown>): { readonly settings?: Record<string, unknown> } {
  const bare = sources.filter(({ declared, found: { backup }, timezone }) => {
    const job = declared.jobs[backup.job];
    return timezone !== undefined && typeof job === "object" && job !== null && !("timezone" in job);
  });
  const zones = [...new Set(bare.map(({ timezone }) => timezone))];
  const [zone] = zones;
  if (zone !== undefined && zones.length === 1) return { settings: { timezone: zone } };
  for (const { found, timezone } of bare) jobs[found.backup.job] = { ...(jobs[found.backup.job] as object), timezone };
  return {};
}

function describeHosts({ found }: OfflineView): string[] {
  const jobs = new Map<string, Set<string>>();
  for (const { backup } of found) if (backup.host !== undefined) jobs.set(backup.job, (jobs.get(backup.job) ?? new Set()).add(backup.host));
  return [...jobs].flatMap(([job, hosts]) =>
    hosts.size > 1 ? [`jobs.${job}: made by several machines (${[...hosts].join(", ")}); that of the newest backup was taken`] : [],
  );
}
