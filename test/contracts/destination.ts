import { describe } from "node:test";
import { describeChanging, describeMarker } from "./destination/changing.ts";
import { describeFaults, describeRecovery } from "./destination/faults.ts";
import type { DestinationFixture } from "./destination/fixture.ts";
import { describePublication } from "./destination/publication.ts";
import { describeReading } from "./destination/reading.ts";

/** The suite that every destination passes, bare and wrapped. */
export function describeDestination(title: string, fixture: DestinationFixture): void {
  describe(`destination ${title}`, () => {
    describePublication(fixture);
    describeReading(fixture);
    describeChanging(fixture);
    describeMarker(fixture);
    describeRecovery(fixture);
    describeFaults(fixture);
  });
}
