// Copies the packages that the program needs at run time from one folder's node_modules to another's: copy-modules.ts FROM TO
// The lockfile says which are for development alone, so no registry is asked.
import { cpSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface LockedPackage {
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly optional?: boolean;
}

const [from = "", to = ""] = process.argv.slice(2);
const { packages } = JSON.parse(readFileSync(join(from, "package-lock.json"), "utf8")) as {
  readonly packages: Readonly<Record<string, LockedPackage>>;
};
for (const [path, entry] of Object.entries(packages)) {
  if (path === "" || entry.dev === true || entry.devOptional === true) continue;
  if (!existsSync(join(from, path, "package.json"))) {
    // Builds for other platforms.
    if (entry.optional === true) continue;
    throw new Error(`${path} is missing: run scripts/setup`);
  }
  const nested = join(from, path, "node_modules");
  cpSync(join(from, path), join(to, path), { recursive: true, dereference: false, filter: (source) => source !== nested });
}
