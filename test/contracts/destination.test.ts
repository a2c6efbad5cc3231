import assert from "node:assert/strict";
import { test } from "node:test";
import { listDestinationDrivers } from "../../src/destinations/registry.ts";
import { localFixture } from "../support/local-place.ts";
import { MemoryDestination, MemoryMedium } from "../support/memory-destination.ts";
import { describeDestination } from "./destination.ts";
import type { DestinationFixture, DestinationPlace } from "./destination/fixture.ts";

class MemoryPlace implements DestinationPlace {
  readonly medium = new MemoryMedium();

  async open(name: string): Promise<MemoryDestination> {
    return new MemoryDestination(name, this.medium);
  }

  async unmark(): Promise<void> {
    this.medium.marker = undefined;
  }

  async vanish(): Promise<void> {
    this.medium.present = false;
    this.medium.objects.clear();
    await this.unmark();
  }

  async plant(key: string, body: string): Promise<void> {
    this.medium.objects.set(key, { body: Buffer.from(body), modifiedAtMs: 0 });
  }

  async listEverything(): Promise<readonly string[]> {
    const staged = [...this.medium.stagings].flatMap(([id, { objects }]) => [id, ...[...objects.keys()].map((name) => `${id}/${name}`)]);
    return [...this.medium.objects.keys(), ...staged].toSorted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // nothing outside this process
  }
}

const memoryFixture: DestinationFixture = {
  async openPlace() {
    return new MemoryPlace();
  },
  faults: {
    async openSmallPlace(bytes) {
      const place = new MemoryPlace();
      place.medium.freeBytes = bytes;
      return place;
    },
    async makeReadOnly(place) {
      if (!(place instanceof MemoryPlace)) throw new Error("not a memory place");
      place.medium.readOnly = true;
      return async () => {
        place.medium.readOnly = false;
      };
    },
  },
};

/** Every registered driver needs a line here. */
const fixtures: Readonly<Record<string, DestinationFixture>> = { local: localFixture };

describeDestination("memory", memoryFixture);
for (const [kind, fixture] of Object.entries(fixtures)) describeDestination(kind, fixture);

test("every registered destination driver runs the suite", () => {
  const missing = listDestinationDrivers().filter(({ kind }) => fixtures[kind] === undefined);
  assert.deepEqual(missing, [], "add a fixture to this file");
});
