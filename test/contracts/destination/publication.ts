import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { HoldfastError } from "../../../src/base/errors.ts";
import { createId } from "../../../src/base/ids.ts";
import type { DestinationFixture } from "./fixture.ts";
import {
  chunks,
  collect,
  failAfter,
  hangAfter,
  hasCode,
  listKeys,
  manifestName,
  name,
  never,
  objectKey,
  openMarked,
  publish,
  readText,
  reuseBuffer,
  shapes,
} from "./steps.ts";

export function describePublication(fixture: DestinationFixture): void {
  for (const shape of shapes) {
    test(`${shape}: nothing is seen before publish, all of it after`, async () => {
      await using place = await openMarked(fixture);
      await using destination = await place.open(name);
      const body = randomBytes(2_500_000);
      const manifest = { name: manifestName(shape, "b1"), body: Buffer.from("manifest") };
      {
        await using publication = await destination.openPublication("jobs/nightly", "b1", shape, createId(1), never);
        assert.deepEqual(await publication.put("b1", chunks(body, 70_001), never), { bytes: body.length });
        await publication.put("empty", chunks(Buffer.alloc(0), 1), never);
        assert.deepEqual(await listKeys(destination), []);
        assert.equal(await destination.exists("jobs/nightly/b1", never), true, "a name that is being published is taken");
        assert.equal(await destination.stat(objectKey(shape, "b1", "b1"), never), undefined);
        assert.ok(body.equals(await collect(publication.get("b1", undefined, never))));
        assert.ok(body.subarray(5, 1_200_005).equals(await collect(publication.get("b1", { offset: 5, bytes: 1_200_000 }, never))));
        await publication.publish(manifest, never);
        assert.ok(
          body.equals(await collect(destination.get(objectKey(shape, "b1", "b1"), undefined, never))),
          "visible when publish returns",
        );
      }
      const expected = ["b1", "empty", manifest.name].map((object) => objectKey(shape, "b1", object)).toSorted();
      assert.deepEqual(await listKeys(destination), expected, "closing after publish changes nothing");
      assert.deepEqual(await collect(destination.get(objectKey(shape, "b1", manifest.name), undefined, never)), manifest.body);
      assert.equal((await destination.stat(objectKey(shape, "b1", "empty"), never))?.bytes, 0);
      assert.deepEqual(await place.listEverything(), expected, "nothing else is left");
    });

    test(`${shape}: closing without publish removes everything that was put`, async () => {
      await using place = await openMarked(fixture);
      await using destination = await place.open(name);
      {
        await using publication = await destination.openPublication("jobs", "b1", shape, createId(1), never);
        await publication.put("b1", chunks(randomBytes(10), 3), never);
      }
      assert.deepEqual(await place.listEverything(), []);
      assert.equal(await destination.exists("jobs/b1", never), false);
    });

    test(`${shape}: a name that exists is a conflict and stays as it is`, async () => {
      await using place = await openMarked(fixture);
      await using destination = await place.open(name);
      await publish(destination, shape, "b1", "first");
      await assert.rejects(destination.openPublication("jobs", "b1", shape, createId(2), never), hasCode("conflict"));
      assert.equal(await readText(destination, objectKey(shape, "b1", "b1", "jobs")), "first");
    });

    test(`${shape}: two publications of one name: the second is a conflict`, async () => {
      await using place = await openMarked(fixture);
      await using destination = await place.open(name);
      await using publication = await destination.openPublication("jobs", "b1", shape, createId(1), never);
      await assert.rejects(destination.openPublication("jobs", "b1", shape, createId(2), never), hasCode("conflict"));
      await publication.put("b1", chunks(Buffer.from("first"), 3), never);
      await publication.publish({ name: manifestName(shape, "b1"), body: Buffer.from("m") }, never);
      assert.equal(await readText(destination, objectKey(shape, "b1", "b1", "jobs")), "first");
    });

    test(`${shape}: a name that is taken between opening and publishing is a conflict, and what took it stays`, async () => {
      await using place = await openMarked(fixture);
      await using destination = await place.open(name);
      const second = shape === "directory" ? "jobs/b1/other" : "jobs/b1.info";
      {
        await using publication = await destination.openPublication("jobs", "b1", shape, createId(1), never);
        await publication.put("b1", chunks(Buffer.from("ours"), 3), never);
        await publication.put("b1.info", chunks(Buffer.from("ours"), 3), never);
        await place.plant(second, "theirs");
        await assert.rejects(publication.publish({ name: manifestName(shape, "b1"), body: Buffer.from("m") }, never), hasCode("conflict"));
      }
      assert.deepEqual(await place.listEverything(), [second]);
      assert.equal(await readText(destination, second), "theirs");
    });

    test(`${shape}: a body that throws leaves nothing, and the error comes out as it is`, async () => {
      await using place = await openMarked(fixture);
      await using destination = await place.open(name);
      {
        await using publication = await destination.openPublication("jobs", "b1", shape, createId(1), never);
        const failure = new HoldfastError("source-changed", "the source went away");
        await assert.rejects(publication.put("b1", failAfter(1_500_000, failure), never), (error) => error === failure);
        await assert.rejects(collect(publication.get("b1", undefined, never)), hasCode("backup-not-found"));
        assert.deepEqual(await listKeys(destination), []);
      }
      assert.deepEqual(await place.listEverything(), []);
    });

    test(`${shape}: an aborted put ends even if its body hangs, and leaves nothing`, async () => {
      await using place = await openMarked(fixture);
      await using destination = await place.open(name);
      {
        await using publication = await destination.openPublication("jobs", "b1", shape, createId(1), never);
        const controller = new AbortController();
        const putting = publication.put(
          "b1",
          hangAfter(1_500_000, () => controller.abort()),
          controller.signal,
        );
        await assert.rejects(putting, hasCode("cancelled"));
        await assert.rejects(collect(publication.get("b1", undefined, never)), hasCode("backup-not-found"));
      }
      assert.deepEqual(await place.listEverything(), []);
    });

    test(`${shape}: an aborted publish leaves nothing`, async () => {
      await using place = await openMarked(fixture);
      await using destination = await place.open(name);
      {
        await using publication = await destination.openPublication("jobs", "b1", shape, createId(1), never);
        await publication.put("b1", chunks(Buffer.from("x"), 1), never);
        await assert.rejects(
          publication.publish({ name: manifestName(shape, "b1"), body: Buffer.from("m") }, AbortSignal.abort()),
          hasCode("cancelled"),
        );
      }
      assert.deepEqual(await place.listEverything(), []);
    });
  }

  test("an object's name can be put once", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    await using publication = await destination.openPublication("", "b1", "directory", createId(1), never);
    await publication.put("a", chunks(Buffer.from("first"), 9), never);
    await assert.rejects(publication.put("a", chunks(Buffer.from("second"), 9), never), hasCode("conflict"));
    assert.equal((await collect(publication.get("a", undefined, never))).toString(), "first");
  });

  test("a producer may use its buffer again", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    await using publication = await destination.openPublication("", "b1", "directory", createId(1), never);
    await publication.put("a", reuseBuffer(40, 100_000), never);
    const stored = await collect(publication.get("a", undefined, never));
    assert.equal(stored.length, 4_000_000);
    for (let part = 0; part < 40; part += 1) assert.equal(stored[part * 100_000 + 50_000], part);
  });

  test("directory: objects may stand in folders of their own", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    {
      await using publication = await destination.openPublication("", "b1", "directory", createId(1), never);
      await publication.put("a/deep/one.db", chunks(Buffer.from("1"), 1), never);
      await publication.put("a/two.db", chunks(Buffer.from("2"), 1), never);
      await publication.publish({ name: "manifest.json", body: Buffer.from("m") }, never);
    }
    assert.deepEqual(await listKeys(destination), ["b1/a/deep/one.db", "b1/a/two.db", "b1/manifest.json"]);
  });

  test("keys that lead out of the destination or are hidden are refused", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    await using publication = await destination.openPublication("", "b1", "directory", createId(1), never);
    for (const key of ["..", "../x", "a/../../x", "/etc/passwd", "a//b", "a/", "./a", "a\0b", ".hidden", "a/.holdfast-x"]) {
      await assert.rejects(destination.openPublication(key, "b", "directory", createId(2), never), hasCode("usage"), key);
      await assert.rejects(publication.put(key, chunks(Buffer.from("x"), 1), never), hasCode("usage"), key);
      await assert.rejects(destination.remove(key, never), hasCode("usage"), key);
      await assert.rejects(destination.append(key, Buffer.from("x\n"), never), hasCode("usage"), key);
      await assert.rejects(async () => await collect(destination.get(key, undefined, never)), hasCode("usage"), key);
      await assert.rejects(destination.stat(key, never), hasCode("usage"), key);
      await assert.rejects(destination.exists(key, never), hasCode("usage"), key);
      await assert.rejects(async () => await listKeys(destination, key), hasCode("usage"), key);
    }
    await assert.rejects(destination.remove("", never), hasCode("usage"));
    await assert.rejects(destination.openPublication("", "a/b", "beside", createId(2), never), hasCode("usage"));
  });
}
