// Exits 0 if node_modules holds what package-lock.json asks for on this machine, else 1. Run by scripts/setup.
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

interface LockedPackage {
  readonly version?: string;
  readonly integrity?: string;
  readonly optional?: boolean;
}

type Lock = Readonly<Record<string, LockedPackage>>;

const root = resolve(import.meta.dirname, "..");

function readPackages(file: string): Lock {
  const lock = JSON.parse(readFileSync(join(root, file), "utf8")) as { readonly packages: Lock };
  return lock.packages;
}

/**
 * npm writes node_modules/.package-lock.json last, so an install that broke off has none. Optional packages may differ: those of other
 * platforms are not installed, and the lockfile knows only those that its registry had.
 */
function isCurrent(): boolean {
  if (!existsSync(join(root, "node_modules/.package-lock.json"))) return false;
  const wanted = readPackages("package-lock.json");
  const installed = readPackages("node_modules/.package-lock.json");
  const isRight = ([path, entry]: [string, LockedPackage]): boolean => {
    const found = installed[path];
    if (found === undefined || !existsSync(join(root, path, "package.json"))) return path === "" || entry.optional === true;
    return found.version === entry.version && found.integrity === entry.integrity;
  };
  return (
    Object.entries(wanted).every(isRight) && Object.entries(installed).every(([path, entry]) => path in wanted || entry.optional === true)
  );
}

process.exitCode = isCurrent() ? 0 : 1;
