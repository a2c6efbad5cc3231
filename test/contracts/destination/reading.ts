import assert from "node:assert/strict";
import { test } from "node:test";
import { createId } from "../../../src/base/ids.ts";
import type { ByteRange } from "../../../src/destinations/contract.ts";
import type { DestinationFixture } from "./fixture.ts";
import { collect, hasCode, listKeys, name, never, openMarked, publish } from "./steps.ts";

export function describeReading(fixture: DestinationFixture): void {
  test("get gives ranges; one that goes beyond the end is damage", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    const text = "0123456789";
    await publish(destination, "beside", "b1", text);
    const read = async (range: ByteRange): Promise<string> => (await collect(destination.get("jobs/b1", range, never))).toString();
    assert.equal(await read({ offset: 0, bytes: 10 }), text);
    assert.equal(await read({ offset: 3, bytes: 4 }), "3456");
    assert.equal(await read({ offset: 10, bytes: 0 }), "");
    assert.equal(await read({ offset: 9, bytes: 1 }), "9");
    await assert.rejects(read({ offset: 9, bytes: 2 }), hasCode("backup-damaged"));
    await assert.rejects(read({ offset: 11, bytes: 0 }), hasCode("backup-damaged"));
  });

  test("reading may end early, and an aborted one throws", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    await publish(destination, "beside", "b1", "x".repeat(5_000_000));
    for await (const chunk of destination.get("jobs/b1", undefined, never)) {
      assert.ok(chunk.length > 0);
      break;
    }
    const controller = new AbortController();
    await assert.rejects(async () => {
      for await (const chunk of destination.get("jobs/b1", undefined, controller.signal)) {
        assert.ok(chunk.length < 5_000_000);
        controller.abort();
      }
    }, hasCode("cancelled"));
  });

  test("what is not there: get throws, stat is undefined, exists is false, list is empty", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    await publish(destination, "directory", "b1", "x");
    await assert.rejects(collect(destination.get("jobs/b2", undefined, never)), hasCode("backup-not-found"));
    await assert.rejects(collect(destination.get("jobs/b1", undefined, never)), hasCode("backup-not-found"), "a folder is no object");
    await assert.rejects(collect(destination.get("jobs/b1/b1/x", undefined, never)), hasCode("backup-not-found"), "an object is no folder");
    assert.equal(await destination.stat("jobs/b2", never), undefined);
    assert.equal(await destination.stat("jobs/b1", never), undefined);
    assert.equal(await destination.exists("jobs/b2", never), false);
    assert.equal(await destination.exists("jobs/b1", never), true);
    assert.deepEqual(await listKeys(destination, "other"), []);
    assert.deepEqual(await listKeys(destination, "jobs/b"), [], "a prefix is no folder");
  });

  test("list gives all objects below a folder with their sizes, and only those", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    await publish(destination, "beside", "b1", "12345");
    await publish(destination, "directory", "b2", "123");
    await place.plant("other/by-hand", "x");
    const found = await Array.fromAsync(destination.list("jobs", never));
    assert.deepEqual(found.map(({ key, bytes }) => `${key} ${bytes}`).toSorted(), [
      "jobs/b1 5",
      "jobs/b1.manifest.json 1",
      "jobs/b2/b2 3",
      "jobs/b2/manifest.json 1",
    ]);
    assert.equal((await listKeys(destination)).length, 5);
    await assert.rejects(Array.fromAsync(destination.list("", AbortSignal.abort())), hasCode("cancelled"));
  });

  test("A13 a place that is not there is an error, never an empty list", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    await place.vanish();
    const missing = hasCode("destination-missing", `holdfast destination init ${name}`);
    await assert.rejects(Array.fromAsync(destination.list("", never)), missing);
    await assert.rejects(Array.fromAsync(destination.list("jobs", never)), missing);
    await assert.rejects(destination.stat("jobs/b1", never), missing);
    await assert.rejects(destination.exists("jobs/b1", never), missing);
    await assert.rejects(collect(destination.get("jobs/b1", undefined, never)), missing);
    await assert.rejects(destination.probe(never), missing);
    await assert.rejects(
      destination.recover(() => false, never),
      missing,
    );
    await assert.rejects(destination.append("jobs/b1.events.jsonl", Buffer.from("{}\n"), never), missing);
    await assert.rejects(destination.remove("jobs/b1", never), missing);
    await assert.rejects(destination.openPublication("jobs", "b1", "directory", createId(1), never), missing);
  });
}
