import { z } from "zod";
import type { Manifest, ManifestMember } from "../../archive/manifest.ts";
import type { Config } from "../../config/config.ts";
import type { ConfiguredDatastore } from "../../datastores/contract.ts";
import { findDatastoreDriver } from "../../datastores/registry.ts";
import { chooseMembers } from "../choose-members.ts";

/** Where a member goes, and who says so. */
export interface OfflineTarget {
  readonly member: ManifestMember;
  readonly options: unknown;
  readonly configured: ConfiguredDatastore;
  readonly source: "config" | "backup";
}

const copySchema = z.object({ datastores: z.record(z.string(), z.object({ kind: z.string(), options: z.unknown() })) });

/**
 * The target of each wanted member: what the config says of the datastore, where there is a config that knows it; else the copy of the
 * config in the manifest; else what the entries themselves tell.
 * @throws unknown-name, backup-incomplete
 */
export function chooseTargets(
  manifest: Manifest,
  config: Config | undefined,
  wanted: readonly string[] | undefined,
): readonly OfflineTarget[] {
  return chooseMembers(manifest, wanted).map((member) => chooseTarget(member, manifest, config));
}

function chooseTarget(member: ManifestMember, manifest: Manifest, config: Config | undefined): OfflineTarget {
  const { datastore, kind, entries } = member;
  const driver = findDatastoreDriver(kind);
  const known = config?.datastores.get(datastore);
  if (known?.kind === kind) return { member, options: known.options, configured: driver.configure(known.options), source: "config" };
  const copy = copySchema.safeParse(manifest.config);
  const recorded = copy.success ? copy.data.datastores[datastore] : undefined;
  const configured = recorded?.kind === kind ? tryConfigure(kind, recorded.options) : undefined;
  if (configured !== undefined) return { member, options: recorded?.options, configured, source: "backup" };
  const options = driver.deriveOptions(entries);
  return { member, options, configured: driver.configure(options), source: "backup" };
}

/** A copy that holds a masked secret, or that an older version wrote, is of no use. */
function tryConfigure(kind: string, options: unknown): ConfiguredDatastore | undefined {
  try {
    return findDatastoreDriver(kind).configure(options);
  } catch {
    return undefined;
  }
}

/** The options with which whatever is there can be saved: absence and emptiness are facts to keep then, no failures. */
export function describeForSaving({ member, options }: OfflineTarget): unknown {
  const { optionsSchema } = findDatastoreDriver(member.kind);
  return ["optional", "allowEmpty"].reduce<unknown>((known, key) => {
    const next = { ...(known as object), [key]: true };
    return optionsSchema.safeParse(next).success ? next : known;
  }, options);
}
