import { findClosest } from "../base/closest-name.ts";
import type { CheckContext } from "./check-value.ts";
import type { Config } from "./config.ts";
import { checkPlaces } from "./check-places.ts";
import type { ConfigProblem } from "./problem.ts";
import type { Sections } from "./read-sources.ts";
import type { Path } from "./source-index.ts";

export type ConfigParts = Omit<Config, "path" | "fingerprint" | "origins">;

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
    refuse(path, { message: `there is no ${what} ${JSON.stringify(name)}`, found: JSON.stringify(name), allowed: names, ...(meant === undefined ? {} : { didYouMean: meant }) });
  };
  for (const job of parts.jobs.values()) {
    const path = ["jobs", job.name];
    job.datastores.forEach((name, at) => {
      expect(name, sections.datastores, "datastore", [...path, "datastores", at]);
      if (job.datastores.indexOf(name) < at) refuse([...path, "datastores", at], { message: `the datastore ${JSON.stringify(name)} stands here twice` });
    });
    expect(job.destination, sections.destinations, "destination", [...path, "destination"]);
    job.copies.forEach((name, at) => {
      expect(name, sections.destinations, "destination", [...path, "copies", at]);
      if (name === job.destination) refuse([...path, "copies", at], { message: `${JSON.stringify(name)} is the job's own destination already` });
      else if (job.copies.indexOf(name) < at) refuse([...path, "copies", at], { message: `the destination ${JSON.stringify(name)} stands here twice` });
    });
    job.notify.forEach((name, at) => expect(name, sections.notify, "channel", [...path, "notify", at]));
  }
  checkPlaces(parts, refuse);
}
