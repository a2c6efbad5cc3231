import { lstat, readdir, readFile, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Stats } from "node:fs";
import { HoldfastError, readErrno } from "../base/errors.ts";
import type { Config, Settings } from "../config/config.ts";
import { describeOccupant, findOccupant, listOccupied, type Occupied } from "../config/occupied-places.ts";

/**
 * Whether a directory may be restored into: one that is empty, or not there.
 * @throws target-unsafe for a link, a file, a device, or a directory with anything in it
 */
export async function assertEmpty(directory: string): Promise<"empty" | "absent"> {
  const stats = await lstatIfThere(directory);
  if (stats === undefined) return "absent";
  if (stats.isSymbolicLink()) {
    throw new HoldfastError("target-unsafe", `${directory} is a symbolic link, and who can change it decides where the data goes`, {
      hint: `Name the directory itself${await describeReal(directory)}.`,
    });
  }
  if (!stats.isDirectory()) {
    const what = stats.isBlockDevice() || stats.isCharacterDevice() ? "a device" : stats.isFile() ? "a file" : "no directory";
    throw new HoldfastError("target-unsafe", `${directory} is ${what}, not a directory`, {
      hint: "Name a directory that is empty or not there yet.",
    });
  }
  const names = await readdir(directory);
  if (names.length === 0) return "empty";
  throw new HoldfastError("target-unsafe", `${directory} is not empty: ${names.toSorted().slice(0, 3).join(", ")}`, {
    hint: "Nothing is overwritten; name a directory that is empty or not there yet.",
  });
}

async function describeReal(link: string): Promise<string> {
  const real = await realpath(link).catch(() => undefined); // it leads nowhere
  return real === undefined ? "" : `: ${real}`;
}

async function lstatIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (readErrno(error) === "ENOENT") return undefined;
    if (readErrno(error) !== "ENOTDIR") throw error;
    throw new HoldfastError("target-unsafe", `${dirname(path)} is not a directory`, {
      hint: "Name a directory that is empty or not there yet.",
      cause: error,
    });
  }
}

/** What a restore for somebody to look at must keep out of, besides what the config protects. */
export interface OwnPlaces {
  readonly settings: Pick<Settings, "stateDir" | "runtimeDir" | "stagingDir">;
  /** The directory that the backup is read from, where it is one. */
  readonly backupDir: string | undefined;
}

/**
 * Keeps a restore out of the places that belong to something: in a destination it would look like a backup, in a datastore the next
 * backup would take it up, in the state directory it would be swept.
 * @throws target-unsafe
 */
export async function assertApart(directory: string, config: Config | undefined, { settings, backupDir }: OwnPlaces): Promise<void> {
  const path = await resolveAsFarAsThere(directory);
  const unmounted = findUnmounted(path, await readText("/etc/fstab"), await readText("/proc/self/mounts"));
  if (unmounted !== undefined) {
    throw new HoldfastError("target-unsafe", `${directory} lies below ${unmounted}, which /etc/fstab mounts and which is not mounted now`, {
      hint: `Mount it first (mount ${unmounted}), or name a directory elsewhere: the data would fill the disk below.`,
    });
  }
  const own = (what: string, place: string): Occupied => ({ what, role: "destination", patterns: [place], excluded: [] });
  const places = [
    ...(backupDir === undefined ? [] : [own("the place of the backup", await resolveAsFarAsThere(backupDir))]),
    own("the state directory", await resolveAsFarAsThere(settings.stateDir)),
    own("the staging directory", await resolveAsFarAsThere(settings.stagingDir)),
    own("the runtime directory", await resolveAsFarAsThere(settings.runtimeDir)),
  ];
  const found = findOccupant(path, places);
  if (found !== undefined) {
    throw new HoldfastError(
      "target-unsafe",
      `${directory} lies in ${found.occupied.what} (${found.pattern}), which is not for restored data`,
      {
        hint: "Name a directory elsewhere.",
      },
    );
  }
  if (config === undefined) return;
  const occupied: Occupied[] = [];
  for (const each of listOccupied(config)) {
    const patterns = await Promise.all(each.patterns.map((pattern) => resolveAsFarAsThere(pattern)));
    occupied.push({ ...each, patterns });
  }
  const occupant = findOccupant(path, occupied);
  if (occupant === undefined) return;
  throw new HoldfastError("target-unsafe", describeOccupant(directory, occupant).replaceAll("the copy", "the restored data"), {
    hint: "Name a directory elsewhere.",
  });
}

/** Without links as far as it is there. */
async function resolveAsFarAsThere(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    return path === dirname(path) ? path : join(await resolveAsFarAsThere(dirname(path)), basename(path));
  }
}

/**
 * The mount point that a path lies at or below, and that is only an empty directory now: a disk that is not plugged in.
 * @param fstab text of /etc/fstab @param mounts text of /proc/self/mounts
 */
export function findUnmounted(path: string, fstab: string, mounts: string): string | undefined {
  const places = (text: string): readonly string[] =>
    text
      .split("\n")
      .filter((line) => !line.trimStart().startsWith("#"))
      .flatMap((line) => line.trim().split(/\s+/)[1] ?? [])
      .map((place) => place.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8))));
  const mounted = new Set(places(mounts));
  return places(fstab).find(
    (place) => place.length > 1 && place.startsWith("/") && `${path}/`.startsWith(`${place}/`) && !mounted.has(place),
  );
}

/** "" where the system has none. */
async function readText(path: string): Promise<string> {
  return await readFile(path, "utf8").catch(() => "");
}
