import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { findClosest } from "../../base/closest-name.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { CatalogBackup } from "../../catalog/contract.ts";
import { openCatalog } from "../../catalog/open-catalog.ts";
import { describeBackup } from "../catalog-backup.ts";
import { createNoneGoodError } from "../passed-over.ts";
import { findBackups, readEvents, type FoundBackups } from "../sync-destination.ts";
import { openAddressed, openDestination, type BackupAddress } from "../verify.ts";
import { placeOfPath, type PathPlace } from "./place-of-path.ts";

/** A backup that was found, and where. */
export interface OfflineBackup {
  readonly backup: CatalogBackup;
  readonly address: BackupAddress;
  /** For people: the file or directory that it is. */
  readonly path: string;
}

/** The backups that a path stands for. */
export interface OfflineView {
  readonly place: PathPlace;
  /** This machine: `latest` prefers what it made. */
  readonly host: string;
  /** For what must be unpacked to be looked at; the caller's. */
  readonly scratchDir: string;
  /** Newest first. */
  readonly found: readonly OfflineBackup[];
  readonly unreadable: FoundBackups["unreadable"];
}

export interface OfflineScope {
  readonly path: string;
  readonly host: string;
  readonly scratchDir: string;
  readonly job?: string;
}

/** Reads what is at a path, whole: an error is never an empty view. @throws unknown-name for a job of which nothing is there */
export async function openView({ path, job, host, scratchDir }: OfflineScope, signal: AbortSignal): Promise<OfflineView> {
  const place = await placeOfPath(path, scratchDir);
  if (place.kind === "backup") return { place, host, scratchDir, found: [await readOne(place, signal)], unreadable: [] };
  await using destination = await openDestination(place.destination);
  const { backups, unreadable } = await findBackups(destination, "", signal);
  if (job !== undefined && backups.length > 0 && unreadable.length === 0)
    assertJob(job, place.path, new Set(backups.map((backup) => backup.job)));
  const found = backups
    .filter((backup) => job === undefined || backup.job === job)
    .toSorted((one, other) => other.createdAtMs - one.createdAtMs || other.sequence - one.sequence)
    .map((backup) => addressFound(backup, place));
  return { place, host, scratchDir, found, unreadable };
}

function assertJob(job: string, path: string, known: ReadonlySet<string>): void {
  if (known.has(job)) return;
  const closest = findClosest(job, known);
  throw new HoldfastError("unknown-name", `There is no backup of job "${job}" below ${path}`, {
    hint: `${closest === undefined ? "" : `Did you mean "${closest}"? `}There are backups of ${[...known].join(", ")}.`,
  });
}

function addressFound(backup: CatalogBackup, place: PathPlace & { readonly kind: "directory" }): OfflineBackup {
  const { folder, manifestKey, name } = backup;
  return {
    backup,
    address: { destination: place.destination, folder, key: manifestKey, lone: false },
    path: join(place.path, folder, name),
  };
}

async function readOne({ address, path }: PathPlace & { readonly kind: "backup" }, signal: AbortSignal): Promise<OfflineBackup> {
  await using destination = await openDestination(address.destination);
  const { manifest, sha256 } = await openAddressed(destination, address, signal);
  const found = { destination: destination.name, folder: "", manifestKey: address.key, manifestSha256: sha256, manifest };
  const events = await readEvents(destination, { folder: "", name: manifest.name }, signal);
  return { backup: describeBackup(found, events), address, path };
}

/**
 * The backup that a person means, as the online verbs understand it.
 * @param text name, id or `latest`; may be left out where the path names one backup, or holds no more than one
 * @throws backup-not-found, ambiguous-name
 */
export async function chooseBackup(view: OfflineView, text: string | undefined, signal: AbortSignal): Promise<OfflineBackup> {
  const { place, found, scratchDir } = view;
  const [only] = found;
  if (place.kind === "backup") return chooseOnly(only, text);
  if (text === undefined && found.length === 1 && only !== undefined) return only;
  const lone = text === undefined ? undefined : await findLone(join(place.path, text), view, signal);
  if (lone !== undefined) return lone;
  if (found.length === 0) throw await createNothingError(view);
  if (text === undefined) {
    const names = found.slice(0, 5).map(({ backup }) => backup.name);
    throw new HoldfastError("ambiguous-name", `${place.path} holds ${found.length} backups, the newest: ${names.join(", ")}`, {
      hint: "Name one of them, or say `latest`.",
    });
  }
  using catalog = openCatalog({ path: join(scratchDir, "view.db"), whenMissing: "create" });
  catalog.backups.replaceDestination(
    place.destination.name,
    found.map(({ backup }) => backup),
  );
  const chosen = resolveText(catalog, text, view);
  const match = found.find(({ backup }) => backup.id === chosen.id && backup.manifestKey === chosen.manifestKey);
  if (match === undefined) throw new HoldfastError("internal", `Bug: ${chosen.name} was found and is not in the view`);
  return match;
}

/** The same words as online, without the online command in the hint. */
function resolveText(
  catalog: ReturnType<typeof openCatalog>,
  text: string,
  { place: { path }, host, unreadable, found }: OfflineView,
): CatalogBackup {
  try {
    return catalog.backups.resolve(text, { host });
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    if (text === "latest" && error.code === "backup-not-found") {
      throw createNoneGoodError(
        error,
        found.map(({ backup }) => backup),
        unreadable,
        { offline: path },
      );
    }
    const damaged = unreadable.find(({ key }) => key.split("/").some((part) => part === text || part === `${text}.manifest.json`));
    if (damaged !== undefined)
      throw new HoldfastError("manifest-invalid", `The backup ${text} cannot be used: ${damaged.reason}`, {
        hint: "Use another one.",
        cause: error,
      });
    throw new HoldfastError(error.code, error.message, {
      cause: error,
      ...(error.hint === undefined ? {} : { hint: error.hint.replace("`holdfast list`", `\`holdfast list --offline ${path}\``) }),
      ...(error.details === undefined ? {} : { details: error.details }),
    });
  }
}

function chooseOnly(only: OfflineBackup | undefined, text: string | undefined): OfflineBackup {
  if (only === undefined) throw new HoldfastError("internal", "Bug: a backup's path without a backup");
  const { id, name } = only.backup;
  if (text === undefined || text === "latest" || text === name || id.startsWith(text) || name.startsWith(`${text}.`)) return only;
  throw new HoldfastError("backup-not-found", `${only.path} is the backup ${name}, not "${text}"`, {
    hint: "Leave the name out, or name the directory that holds both.",
  });
}

/** A file in the directory that has no manifest beside it. */
async function findLone(path: string, view: OfflineView, signal: AbortSignal): Promise<OfflineBackup | undefined> {
  const isKnown = view.found.some((candidate) => candidate.path === path);
  if (isKnown || !/\.(tar|tgz|tar\.(gz|zst))$/.test(path)) return undefined;
  const place = await placeOfPath(path, view.scratchDir).catch(() => undefined);
  return place?.kind === "backup" ? await readOne(place, signal) : undefined;
}

/** Says what is there instead. */
async function createNothingError({ place, unreadable }: OfflineView): Promise<HoldfastError> {
  const [damaged] = unreadable;
  if (damaged !== undefined) {
    return new HoldfastError("manifest-invalid", `No backup below ${place.path} can be read: ${damaged.reason}`, {
      hint: "Use another copy. What is left of it: tar and sqlite3 open the data, see RESTORE.txt.",
    });
  }
  const archives = (await readdir(place.path)).filter((name) => /\.(tar|tgz|tar\.(gz|zst))$/.test(name)).toSorted();
  return new HoldfastError("backup-not-found", `There is no backup below ${place.path}`, {
    hint:
      archives.length === 0
        ? "Name a backup's file or directory, or the directory of a destination."
        : `There are archives without their manifests; name one of them: ${join(place.path, archives.at(-1) ?? "")}`,
  });
}
