import { describe } from "node:test";
import { describeDumping } from "./datastore/dumping.ts";
import type { DatastoreFixture } from "./datastore/fixture.ts";
import { describeParts } from "./datastore/parts.ts";
import { describeRestoring } from "./datastore/restoring.ts";
import { describeSnapshots } from "./datastore/snapshots.ts";
import { describeStaging } from "./datastore/staging.ts";

/** The suite that every datastore passes, faults included. Needs root: it mounts, and acts as another user. */
export function describeDatastore(title: string, fixture: DatastoreFixture): void {
  describe(`datastore ${title}`, () => {
    describeDumping(fixture);
    describeSnapshots(fixture);
    describeRestoring(fixture);
    describeStaging(fixture);
    describeParts(fixture);
  });
}
