import { z } from "zod";
import type { Manifest, ManifestMember } from "../../archive/manifest.ts";
import { HoldfastError } from "../../base/errors.ts";
import { Secret, secretMask } from "../../base/secret.ts";
import type { Config } from "../../config/config.ts";
import type { ConfiguredDatastore } from "../../datastores/contract.ts";
import { findDatastoreDriver } from "../../datastores/registry.ts";
import { readField } from "../check/local-places.ts";
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
  const own = recorded?.kind === kind ? recorded.options : undefined;
  const isMasked = holdsMask(driver.optionsSchema.safeParse(own).data);
  const configured = own === undefined || isMasked ? undefined : tryConfigure(kind, own);
  if (configured !== undefined) return { member, options: own, configured, source: "backup" };
  const options = driver.deriveOptions(entries);
  // An address means another server when it is looked for from here.
  const isReachable = own === undefined || readField(own, "via") === undefined;
  return { member, options, configured: isReachable ? driver.configure(options) : createUnreachable(member, isMasked), source: "backup" };
}

/** Whether a secret of the options is the mask that copies of the config have in its place. */
function holdsMask(options: unknown): boolean {
  if (options instanceof Secret) return options.reveal() === secretMask;
  return typeof options === "object" && options !== null && Object.values(options).some(holdsMask);
}

/** One that neither says where it is nor lets anything be put there. */
function createUnreachable({ datastore, kind }: ManifestMember, isMasked: boolean): ConfiguredDatastore {
  const refuse = (): Promise<never> => {
    const why = isMasked ? "the backup's copy of its config has no secrets" : "the backup's copy of its config cannot be read";
    return Promise.reject(
      new HoldfastError("config-missing", `"${datastore}" was backed up by way of a container or a command (via), and ${why}`, {
        hint: "Restore with a config that has this datastore and its `via`; `--to DIRECTORY` takes the files out without one.",
      }),
    );
  };
  return { kind, sourcePaths: [], waysToCopy: ["live"], restoresStopped: false, identify: refuse, open: refuse };
}

/** A copy that an older version wrote is of no use. */
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
