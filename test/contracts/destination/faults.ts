import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { createId } from "../../../src/base/ids.ts";
import type { DestinationFixture } from "./fixture.ts";
import { chunks, hasCode, manifestName, name, never, objectKey, openMarked, publish, readText, shapes } from "./steps.ts";

export function describeRecovery(fixture: DestinationFixture): void {
  for (const shape of shapes) {
    test(`${shape}: recover removes what was never published, and leaves alone what is being made`, async () => {
      await using place = await openMarked(fixture);
      await using crashed = await place.open(name);
      await publish(crashed, shape, "good", "good");
      const dead = await crashed.openPublication("jobs", "dead", shape, createId(1), never);
      await dead.put("dead", chunks(Buffer.from("x"), 1), never);
      const activeId = createId(2);
      await using active = await crashed.openPublication("jobs", "active", shape, activeId, never);
      await active.put("active", chunks(Buffer.from("x"), 1), never);
      await using destination = await place.open(name);
      const recovered = await destination.recover((id) => id === activeId, never);
      assert.deepEqual(
        recovered.map(({ action, name: found }) => ({ action, name: found })),
        [{ action: "removed", name: "jobs/dead" }],
      );
      assert.equal(await destination.exists("jobs/dead", never), false);
      await active.publish({ name: manifestName(shape, "active"), body: Buffer.from("m") }, never);
      const expected = ["active", "good"]
        .flatMap((backup) => [backup, manifestName(shape, backup)].map((object) => objectKey(shape, backup, object, "jobs")))
        .toSorted();
      assert.deepEqual(await place.listEverything(), expected);
      assert.deepEqual(await destination.recover(() => false, never), [], "a second time there is nothing to do");
      await dead[Symbol.asyncDispose]();
      assert.deepEqual(await place.listEverything(), expected);
    });
  }
}

export function describeFaults(fixture: DestinationFixture): void {
  const { openSmallPlace, makeReadOnly } = fixture.faults;
  if (openSmallPlace !== undefined) {
    for (const shape of shapes) {
      test(`F14 ${shape}: no space while an object is stored: an error, nothing is left, the older backup stays, a smaller one fits`, async () => {
        await using place = await openSmallPlace(1 << 20);
        await using destination = await place.open(name);
        await destination.initialize("init", never);
        await publish(destination, shape, "good", "good");
        const before = await place.listEverything();
        {
          await using publication = await destination.openPublication("jobs", "big", shape, createId(2), never);
          await assert.rejects(publication.put("big", chunks(randomBytes(3 << 20), 100_000), never), hasCode("no-space"));
        }
        assert.deepEqual(await place.listEverything(), before);
        assert.equal(await readText(destination, objectKey(shape, "good", "good", "jobs")), "good");
        await publish(destination, shape, "small", "small");
      });
    }

    test("F14 no space for an appended line: an error, and the lines before it stay whole", async () => {
      await using place = await openSmallPlace(1 << 20);
      await using destination = await place.open(name);
      await destination.initialize("init", never);
      await destination.append("jobs/e.jsonl", Buffer.from("first\n"), never);
      await assert.rejects(destination.append("jobs/e.jsonl", Buffer.from(`${"x".repeat(3 << 20)}\n`), never), hasCode("no-space"));
      await destination.append("jobs/e.jsonl", Buffer.from("second\n"), never);
      assert.equal(await readText(destination, "jobs/e.jsonl"), "first\nsecond\n");
    });
  }

  if (makeReadOnly === undefined) return;
  test("F20 A18 a read-only place: found by probe, an error for what writes, still readable", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    await publish(destination, "directory", "b1", "kept");
    const before = await place.listEverything();
    const undo = await makeReadOnly(place);
    try {
      assert.equal((await destination.probe(never)).writable, false);
      const unwritable = hasCode("destination-unwritable");
      await assert.rejects(destination.openPublication("jobs", "b2", "directory", createId(2), never), unwritable);
      await assert.rejects(destination.append("jobs/b1.events.jsonl", Buffer.from("{}\n"), never), unwritable);
      await assert.rejects(destination.remove("jobs/b1", never), unwritable);
      assert.equal(await readText(destination, "jobs/b1/b1"), "kept");
      assert.deepEqual(await place.listEverything(), before);
    } finally {
      await undo();
    }
    assert.equal((await destination.probe(never)).writable, true);
    await publish(destination, "directory", "b2", "the next run works");
  });
}
