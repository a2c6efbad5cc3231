import { isAbsolute, join, matchesGlob } from "node:path";
import { HoldfastError } from "../base/errors.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import type { ConfigParts, DatastoreConfig, DestinationConfig } from "./config.ts";

/** What lies at some paths and must not be replaced by anything else. Plain data: a task takes it along. */
export interface Occupied {
  /** For people: `the datastore "crm"`. */
  readonly what: string;
  readonly role: "datastore" | "destination";
  /** Paths, with all below them, and patterns. */
  readonly patterns: readonly string[];
  readonly excluded: readonly string[];
}

export interface Occupant {
  readonly occupied: Occupied;
  readonly pattern: string;
  readonly isExact: boolean;
}

/** Tells of paths that differ whether they are the same place. */
export interface Places {
  /** A path without links, as far as it is there. */
  resolve(path: string): string;
  /** Of paths without links: whether they are one file or directory all the same, by a mount or a hard link. */
  isSame(one: string, other: string): boolean;
}

const byName: Places = { resolve: (path) => path, isSame: () => false };

interface Placed extends Pick<ConfigParts, "datastores"> {
  readonly destinations: ReadonlyMap<string, Pick<DestinationConfig, "name" | "options">>;
}

/** The places of all datastores and destinations on this machine. */
export function listOccupied({ datastores, destinations }: Placed): readonly Occupied[] {
  return [
    ...[...datastores.values()].map((datastore): Occupied => {
      const { sources, excluded } = listSources(datastore);
      return { what: `the datastore ${JSON.stringify(datastore.name)}`, role: "datastore", patterns: sources, excluded };
    }),
    ...[...destinations.values()].map(({ name, options }): Occupied => {
      const place = readPlace(options);
      const patterns = place === undefined ? [] : [place];
      return { what: `the destination ${JSON.stringify(name)}`, role: "destination", patterns, excluded: [] };
    }),
  ];
}

/** What lies where a file is to be. @param places how paths are compared; by default by their names alone */
export function findOccupant(path: string, occupied: readonly Occupied[], places: Places = byName): Occupant | undefined {
  const target = places.resolve(path);
  const levels = listLevels(target);
  const covers = (pattern: string): boolean => {
    const resolved = resolvePattern(pattern, places);
    return levels.some((level) => coversPath(resolved, level) || (!isGlob(resolved) && places.isSame(level, resolved)));
  };
  for (const each of occupied) {
    const pattern = each.patterns.find(covers);
    if (pattern === undefined || each.excluded.some(covers)) continue;
    const resolved = resolvePattern(pattern, places);
    return { occupied: each, pattern, isExact: resolved === target || (!isGlob(resolved) && places.isSame(target, resolved)) };
  }
  return undefined;
}

export function describeOccupant(path: string, { occupied: { what, role }, pattern, isExact }: Occupant): string {
  if (isExact) return `${path} is ${what} itself, which the copy would replace`;
  const remedy = role === "datastore" ? "what is backed up; move it, or exclude it there" : "a backup; move it";
  return `${path} lies in ${what} (${pattern}): the copy could take the place of ${remedy}`;
}

/** The part before the first name with a wildcard is a path, and may be a link. */
function resolvePattern(pattern: string, places: Places): string {
  const parts = pattern.split("/");
  const at = parts.findIndex(isGlob);
  const fixed = (at === -1 ? parts : parts.slice(0, at)).join("/");
  return at === -1 ? places.resolve(join(pattern, ".")) : join(places.resolve(fixed === "" ? "/" : fixed), ...parts.slice(at));
}

/** The paths and patterns that a datastore reads, and those that it leaves out; a relative one counts from the source's root. */
export function listSources(datastore: DatastoreConfig): { readonly sources: readonly string[]; readonly excluded: readonly string[] } {
  const sources = readPatterns(datastore, "include") ?? listSourcePaths(datastore);
  const excluded = (readPatterns(datastore, "exclude") ?? []).flatMap((each) =>
    isAbsolute(each) ? [each] : sources.map((source) => join(source, each)),
  );
  return { sources, excluded };
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
export function listLevels(path: string): readonly string[] {
  const parts = path.split("/").filter((part) => part !== "");
  return ["/", ...parts.map((_, at) => `/${parts.slice(0, at + 1).join("/")}`)];
}

export function coversPath(pattern: string, path: string): boolean {
  const trimmed = pattern.length > 1 ? pattern.replace(/\/+$/, "") : pattern;
  return trimmed === path || (isGlob(trimmed) && matchesGlob(path, trimmed));
}

export function isGlob(pattern: string): boolean {
  return /[*?[\]{}]/.test(pattern);
}

export function readPatterns(datastore: DatastoreConfig, key: "include" | "exclude"): readonly string[] | undefined {
  const value = readField(datastore.options, key);
  return Array.isArray(value)
    ? value.map((each) => (typeof each === "string" ? each : readField(each, "path"))).filter((each) => typeof each === "string")
    : undefined;
}

export function readPlace(options: unknown): string | undefined {
  const path = readField(options, "path");
  return typeof path === "string" && path.startsWith("/") ? path : undefined;
}

function readField(options: unknown, key: string): unknown {
  return typeof options === "object" && options !== null && Object.hasOwn(options, key)
    ? (options as Readonly<Record<string, unknown>>)[key]
    : undefined;
}
