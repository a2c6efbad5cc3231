import { describe } from "node:test";
import { describeDumping } from "./datastore/dumping.ts";
import type { DatastoreFixture } from "./datastore/fixture.ts";
import { describeParts } from "./datastore/parts.ts";
import { describeRestoring } from "./datastore/restoring.ts";
import { describeStaging } from "./datastore/staging.ts";

const covered = new Set<string>();

/** The suite that every datastore passes, faults included. Needs root: it mounts, and acts as another user. */
export function describeDatastore(title: string, fixture: DatastoreFixture): void {
  covered.add(fixture.kind);
  describe(`datastore ${title}`, () => {
    describeDumping(fixture);
    describeRestoring(fixture);
    describeStaging(fixture);
    describeParts(fixture);
  });
}

/** Kinds that the suite has been run for. */
export function listCoveredKinds(): readonly string[] {
  return [...covered];
}
