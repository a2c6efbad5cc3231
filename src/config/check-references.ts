import { findClosest } from "../base/closest-name.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import type { CheckContext } from "./check-value.ts";
import type { ConfigParts } from "./config.ts";
import { checkPlaces } from "./check-places.ts";
import type { ConfigProblem } from "./problem.ts";
import type { Sections } from "./read-sources.ts";
import type { Path } from "./source-index.ts";

/** What only the whole tells: names that are not there, and jobs that get in each other's way. */
export function checkReferences(parts: ConfigParts, sections: Sections, context: CheckContext): void {
  const refuse = (path: Path, facts: Pick<ConfigProblem, "message" | "allowed" | "didYouMean" | "found">): void => {
    context.problems.push(context.index.createProblem(path, "value", facts, context.mainFile));
  };
  // Names of entries with problems of their own count as known.
  const expect = (name: string, known: Readonly<Record<string, unknown>>, what: string, path: Path): void => {
    if (Object.hasOwn(known, name)) return;
    const names = Object.keys(known);
    const meant = findClosest(name, names);
    refuse(path, {
      message: `there is no ${what} ${JSON.stringify(name)}`,
      found: JSON.stringify(name),
      allowed: names,
      ...(meant === undefined ? {} : { didYouMean: meant }),
    });
  };
  for (const [name, job] of Object.entries(sections.jobs)) {
    const path = ["jobs", name];
    const destination = readNames(job, "destination")[0];
    const check = (key: string, known: Readonly<Record<string, unknown>>, what: string): void => {
      const names = readNames(job, key);
      names.forEach((each, at) => {
        const place = key === "destination" ? [...path, key] : [...path, key, at];
        if (names.indexOf(each) < at) refuse(place, { message: `the ${what} ${JSON.stringify(each)} stands here twice` });
        else if (key === "copies" && each === destination)
          refuse(place, { message: `${JSON.stringify(each)} is the job's own destination already` });
        else expect(each, known, what, place);
      });
    };
    check("datastores", sections.datastores, "datastore");
    check("destination", sections.destinations, "destination");
    check("copies", sections.destinations, "destination");
    check("notify", sections.notify, "channel");
    for (const { datastore, at } of listQueries(job)) {
      const place = [...path, "restore", "check", ...at, "datastore"];
      expect(datastore, sections.datastores, "datastore", place);
      const kind = parts.datastores.get(datastore)?.kind;
      if (kind === undefined || findDatastoreDriver(kind).queries === "sql") continue;
      const able = [...parts.datastores.values()]
        .filter((each) => findDatastoreDriver(each.kind).queries === "sql")
        .map(({ name: each }) => each);
      refuse(place, {
        message: `${JSON.stringify(datastore)} is of kind ${kind}, which no sql check can ask`,
        found: JSON.stringify(datastore),
        allowed: able,
      });
    }
  }
  checkPlaces(parts, refuse);
}

/** The names that a job as it was written holds under a key, be the rest of it right or not. */
function readNames(job: unknown, key: string): readonly string[] {
  const value = readKey(job, key);
  return (Array.isArray(value) ? value : [value]).filter((each) => typeof each === "string");
}

/** The datastores that the sql checks of a job as it was written ask, and where below `restore.check` they stand. */
function listQueries(job: unknown): readonly { readonly datastore: string; readonly at: Path }[] {
  const written = readKey(readKey(job, "restore"), "check");
  const checks = Array.isArray(written) ? written.map((check: unknown, at) => ({ check, at: [at] })) : [{ check: written, at: [] }];
  return checks.flatMap(({ check, at }) => {
    const datastore = readKey(check, "datastore");
    return typeof readKey(check, "sql") === "string" && typeof datastore === "string" ? [{ datastore, at }] : [];
  });
}

function readKey(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Readonly<Record<string, unknown>>)[key]
    : undefined;
}
