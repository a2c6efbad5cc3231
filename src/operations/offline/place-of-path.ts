import { lstat, readdir, readFile, realpath, stat, symlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { parseManifestKey } from "../../archive/backup-keys.ts";
import { parseManifest } from "../../archive/manifest.ts";
import { findClosest } from "../../base/closest-name.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import type { DestinationSetup } from "../setup.ts";
import type { BackupAddress } from "../verify.ts";

/** What a path names: one backup, or a directory that may hold many below it. */
export type PathPlace =
  | { readonly kind: "backup"; readonly address: BackupAddress; readonly path: string }
  | { readonly kind: "directory"; readonly destination: DestinationSetup; readonly path: string };

const archiveName = /\.(tar|tgz|tar\.(gz|zst))$/;

/** A directory as a destination that is only read: that needs no marker and no entry in the config. */
export function describeDirectory(path: string): DestinationSetup {
  return { name: path, kind: "local", options: { path } };
}

/**
 * Finds out what a path names, by what lies there.
 * @param scratchDir gets a link when a backup's directory is not named like the backup any more
 * @throws destination-missing, backup-not-found, backup-incomplete for a file without a manifest
 */
export async function placeOfPath(path: string, scratchDir: string): Promise<PathPlace> {
  const real = await resolveExisting(resolve(path));
  const stats = await stat(real);
  if (stats.isDirectory()) {
    if (await isFile(join(real, "manifest.json"))) return await addressDirectory(real, scratchDir);
    return { kind: "directory", destination: describeDirectory(real), path: real };
  }
  if (!stats.isFile()) throw new HoldfastError("backup-not-found", `${real} is neither a file nor a directory`);
  return await addressFile(real, scratchDir);
}

async function addressFile(path: string, scratchDir: string): Promise<PathPlace> {
  const folder = dirname(path);
  const name = basename(path);
  const address = (key: string, lone: boolean): PathPlace => ({
    kind: "backup",
    address: { destination: describeDirectory(folder), folder: "", key, lone },
    path,
  });
  if (name === "manifest.json") return await addressDirectory(folder, scratchDir);
  if (parseManifestKey(name) !== undefined) return address(name, false);
  if (await isFile(`${path}.manifest.json`)) return address(`${name}.manifest.json`, false);
  if (archiveName.test(name)) return address(name, true);
  if (await isFile(join(folder, "manifest.json"))) {
    throw new HoldfastError("backup-incomplete", `${path} is a part of the backup ${folder}`, { hint: `Name the backup: ${folder}` });
  }
  throw new HoldfastError("backup-incomplete", `There is no manifest beside ${path}, so nothing tells whether it is whole`, {
    hint: describePlainWay(path),
  });
}

/** A backup's directory may have been copied under another name; its manifest is of the name that it was made with. */
async function addressDirectory(path: string, scratchDir: string): Promise<PathPlace> {
  const name = await readOwnName(join(path, "manifest.json"));
  if (name === undefined || name === basename(path)) {
    const address = { destination: describeDirectory(dirname(path)), folder: "", key: `${basename(path)}/manifest.json`, lone: false };
    return { kind: "backup", address, path };
  }
  await symlink(path, join(scratchDir, name));
  return {
    kind: "backup",
    address: { destination: describeDirectory(scratchDir), folder: "", key: `${name}/manifest.json`, lone: false },
    path,
  };
}

/** Undefined when the manifest cannot be read: whoever opens the backup says why. */
async function readOwnName(manifestPath: string): Promise<string | undefined> {
  try {
    const { size } = await lstat(manifestPath);
    if (size > 256 << 20) return undefined;
    return parseManifest(await readFile(manifestPath), manifestPath).manifest.name;
  } catch {
    return undefined;
  }
}

async function resolveExisting(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const errno = readErrno(error);
    if (errno === "EACCES") throw new HoldfastError("destination-missing", `${path} cannot be read: permission denied`, { cause: error });
    if (errno !== "ENOENT" && errno !== "ENOTDIR") throw error;
    throw await explainMissing(path);
  }
}

async function explainMissing(path: string): Promise<HoldfastError> {
  const folder = dirname(path);
  const names = await readdir(folder).catch(() => undefined);
  if (names === undefined) {
    return new HoldfastError("destination-missing", `There is no directory ${folder}`, {
      hint: "Is the disk mounted, and the path right?",
    });
  }
  const closest = findClosest(basename(path), names);
  const elsewhere =
    folder === "/" ? "Is the disk mounted, and the path right?" : `\`holdfast list --offline ${folder}\` shows what is there.`;
  return new HoldfastError("backup-not-found", `There is no ${folder === "/" ? path : `${basename(path)} in ${folder}`}`, {
    hint: `${closest === undefined ? "" : `Did you mean "${closest}"? `}${elsewhere}`,
  });
}

/** How the data can be had with nothing but the usual tools. */
function describePlainWay(path: string): string {
  if (/\.(db|sqlite3?)$/.test(path)) return `Look at it yourself: sqlite3 ${path} 'PRAGMA integrity_check'; then copy it with cp.`;
  if (/\.(db|sqlite3?)\.(gz|zst)$/.test(path))
    return `Look at it yourself: ${path.endsWith(".gz") ? "gzip" : "zstd"} -dc ${path} > copy.db; sqlite3 copy.db 'PRAGMA integrity_check'`;
  return "If it is an archive: tar -tf lists it, tar -xf unpacks it; its RESTORE.txt says the rest.";
}

async function isFile(path: string): Promise<boolean> {
  return await lstat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
}
