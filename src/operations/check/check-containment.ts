import { matchesGlob } from "node:path";
import type { Config } from "../../config/config.ts";
import { type Finding, fail, warn } from "./finding.ts";
import { findLocalPath, isInside, listSourcePaths, readField, resolveReal } from "./local-places.ts";

/** F21 by real paths: the config's own check sees no links. */
export function checkContainment(config: Config): readonly Finding[] {
  const findings: Finding[] = [];
  for (const job of config.jobs.values()) {
    for (const datastoreName of job.datastores) {
      const datastore = config.datastores.get(datastoreName);
      if (datastore === undefined) continue;
      for (const destinationName of new Set([job.destination, ...job.copies])) {
        const path = findLocalPath({ options: config.destinations.get(destinationName)?.options });
        const source = path === undefined ? undefined : findHolding(datastore, resolveReal(path));
        if (path === undefined || source === undefined || isExcluded(datastore.options, source, resolveReal(path))) continue;
        findings.push(
          fail(
            `job ${job.name}`,
            `the destination ${destinationName} (${resolveReal(path)}) lies inside the datastore ${datastoreName} (${source}): every backup would hold the earlier ones`,
            "Exclude it, or move it.",
          ),
        );
      }
      for (const [setting, path] of Object.entries({ stateDir: config.settings.stateDir, stagingDir: config.settings.stagingDir })) {
        const source = findHolding(datastore, resolveReal(path));
        if (source === undefined || isExcluded(datastore.options, source, resolveReal(path))) continue;
        findings.push(
          warn(
            `job ${job.name}`,
            `settings.${setting} (${path}) lies inside the datastore ${datastoreName} (${source})`,
            "Exclude it, or move it.",
          ),
        );
      }
    }
  }
  return findings;
}

/** The source that takes in what lies in a directory; undefined when none does. */
function findHolding(datastore: { readonly kind: string; readonly options: unknown }, directory: string): string | undefined {
  const include = readField(datastore.options, "include");
  if (!Array.isArray(include))
    return listSourcePaths(datastore)
      .map(resolveReal)
      .find((source) => isInside(directory, source));
  return include
    .map((each: unknown) => (typeof each === "string" ? each : readField(each, "path")))
    .filter((each) => typeof each === "string")
    .map(resolvePattern)
    .find((pattern) => matchesGlob(`${directory}/backup`, pattern));
}

/** Resolves the part of a pattern that has no wildcards. */
function resolvePattern(pattern: string): string {
  const parts = pattern.split("/");
  const wild = parts.findIndex((part) => /[*?[\]{}]/.test(part));
  if (wild === -1) return resolveReal(pattern);
  return [resolveReal(parts.slice(0, wild).join("/") || "/").replace(/\/$/, ""), ...parts.slice(wild)].join("/");
}

function isExcluded(options: unknown, source: string, directory: string): boolean {
  const exclude = readField(options, "exclude");
  if (!Array.isArray(exclude)) return false;
  const levels: string[] = [];
  for (
    let level = directory;
    isInside(level, source) && level !== source && level !== "/";
    level = level.slice(0, level.lastIndexOf("/")) || "/"
  )
    levels.push(level);
  return exclude.some((each: unknown) => {
    const pattern = typeof each === "string" ? each : readField(each, "path");
    if (typeof pattern !== "string") return false;
    const absolute = pattern.startsWith("/") ? resolvePattern(pattern) : `${source}/${pattern}`;
    return levels.some((level) => matchesGlob(level, absolute.replace(/\/+$/, "")) || matchesGlob(`${level}/backup`, absolute));
  });
}
