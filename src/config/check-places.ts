import { isAbsolute, join, matchesGlob } from "node:path";
import { HoldfastError } from "../base/errors.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import type { ConfigParts, DatastoreConfig, JobConfig } from "./config.ts";
import type { ConfigProblem } from "./problem.ts";
import type { Path } from "./source-index.ts";

type Refuse = (path: Path, facts: Pick<ConfigProblem, "message">) => void;

/** Layouts, folders and paths that do not go together. */
export function checkPlaces(parts: ConfigParts, refuse: Refuse): void {
  const owners = new Map<string, string>();
  for (const job of parts.jobs.values()) {
    checkLayout(job, parts, refuse);
    for (const destination of [job.destination, ...job.copies]) {
      const place = `${destination}\0${job.folder}`;
      const owner = owners.get(place);
      if (owner === undefined) owners.set(place, job.name);
      else if (owner !== job.name) {
        refuse(["jobs", job.name, "folder"], {
          message: `the job ${JSON.stringify(owner)} writes into the folder ${JSON.stringify(job.folder)} of ${JSON.stringify(destination)} too; give each job its own`,
        });
      }
    }
    for (const name of new Set(job.datastores)) checkContainment(name, job, parts, refuse);
  }
  checkFixedCopies(parts, refuse);
}

/** A copy must be of the job, its own, and never in the place of what is backed up. */
function checkFixedCopies({ jobs, datastores }: ConfigParts, refuse: Refuse): void {
  const taken = new Map<string, string>();
  const sources = new Map(
    [...datastores.values()].flatMap((datastore) => listSourcePaths(datastore).map((path) => [path, datastore.name] as const)),
  );
  for (const job of jobs.values()) {
    for (const [at, { datastore, path }] of job.fixedCopies.entries()) {
      const place = ["jobs", job.name, "fixedCopies", at];
      if (!job.datastores.includes(datastore))
        refuse([...place, "datastore"], { message: `the job does not back up a datastore ${JSON.stringify(datastore)}` });
      const source = sources.get(path);
      if (source !== undefined)
        refuse([...place, "path"], { message: `${path} is the datastore ${JSON.stringify(source)} itself, which the copy would replace` });
      const owner = taken.get(path);
      if (owner !== undefined) refuse([...place, "path"], { message: `the job ${JSON.stringify(owner)} writes ${path} already` });
      taken.set(path, job.name);
    }
  }
}

function checkLayout(job: JobConfig, parts: ConfigParts, refuse: Refuse): void {
  if (job.layout !== "file") return;
  const path = ["jobs", job.name, "layout"];
  const [name = ""] = job.datastores;
  if (job.datastores.length > 1)
    return refuse(path, { message: `layout "file" holds one datastore, found ${job.datastores.length}; use directory or archive` });
  if (job.infoFiles.length > 0)
    refuse(["jobs", job.name, "infoFiles"], { message: 'layout "file" has no room for info files; use directory or archive' });
  const datastore = parts.datastores.get(name);
  const include = datastore === undefined ? undefined : readPatterns(datastore, "include");
  if (include !== undefined && (include.length !== 1 || include.some(isGlob))) {
    refuse(path, {
      message: `layout "file" needs a datastore that is one file, and ${JSON.stringify(name)} may be several; use directory or archive`,
    });
  }
}

/** F21: a destination inside a source would back up its own backups. */
function checkContainment(name: string, job: JobConfig, parts: ConfigParts, refuse: Refuse): void {
  const datastore = parts.datastores.get(name);
  if (datastore === undefined) return;
  const sources = readPatterns(datastore, "include") ?? listSourcePaths(datastore);
  // A relative pattern counts from the source's root.
  const excluded = (readPatterns(datastore, "exclude") ?? []).flatMap((each) =>
    isAbsolute(each) ? [each] : sources.map((source) => join(source, each)),
  );
  for (const destinationName of [job.destination, ...job.copies]) {
    const place = readPlace(parts.destinations.get(destinationName)?.options);
    if (place === undefined) continue;
    const levels = listLevels(place);
    const source = sources.find((each) => levels.some((level) => coversPath(each, level)));
    if (source === undefined || excluded.some((each) => levels.some((level) => coversPath(each, level)))) continue;
    refuse(["jobs", job.name, "destination"], {
      message: `the destination ${JSON.stringify(destinationName)} (${place}) lies inside the datastore ${JSON.stringify(name)} (${source}): every backup would hold the earlier ones; exclude it or move it`,
    });
  }
}

/** None of options that are wrong, which has been told, or that refer to what is not there. */
function listSourcePaths({ kind, options }: DatastoreConfig): readonly string[] {
  try {
    return findDatastoreDriver(kind).configure(options).sourcePaths;
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "config-invalid") return [];
    throw error;
  }
}

/** A path and everything above it. */
function listLevels(path: string): readonly string[] {
  const parts = path.split("/").filter((part) => part !== "");
  return ["/", ...parts.map((_, at) => `/${parts.slice(0, at + 1).join("/")}`)];
}

function coversPath(pattern: string, path: string): boolean {
  const trimmed = pattern.length > 1 ? pattern.replace(/\/+$/, "") : pattern;
  return trimmed === path || (isGlob(trimmed) && matchesGlob(path, trimmed));
}

function isGlob(pattern: string): boolean {
  return /[*?[\]{}]/.test(pattern);
}

function readPatterns(datastore: DatastoreConfig, key: "include" | "exclude"): readonly string[] | undefined {
  const value = readField(datastore.options, key);
  return Array.isArray(value)
    ? value.map((each) => (typeof each === "string" ? each : readField(each, "path"))).filter((each) => typeof each === "string")
    : undefined;
}

function readPlace(options: unknown): string | undefined {
  const path = readField(options, "path");
  return typeof path === "string" && path.startsWith("/") ? path : undefined;
}

function readField(options: unknown, key: string): unknown {
  return typeof options === "object" && options !== null && Object.hasOwn(options, key)
    ? (options as Readonly<Record<string, unknown>>)[key]
    : undefined;
}
