import assert from "node:assert/strict";
import { test } from "node:test";
import { createId } from "../../../src/base/ids.ts";
import type { DestinationFixture } from "./fixture.ts";
import { hasCode, listKeys, name, never, openMarked, publish, readText } from "./steps.ts";

export function describeChanging(fixture: DestinationFixture): void {
  test("append creates and adds; appends at the same time lose no line", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    await destination.append("jobs/b1.events.jsonl", Buffer.from('{"n":"first"}\n'), never);
    const handles = await Promise.all([1, 2, 3].map(() => place.open(name)));
    await Promise.all(
      Array.from(
        { length: 30 },
        async (_, index) => await handles[index % 3]?.append("jobs/b1.events.jsonl", Buffer.from(`{"n":${index}}\n`), never),
      ),
    );
    const lines = (await readText(destination, "jobs/b1.events.jsonl")).trimEnd().split("\n");
    assert.equal(lines[0], '{"n":"first"}');
    assert.deepEqual(
      lines
        .slice(1)
        .map((line) => (JSON.parse(line) as { n: number }).n)
        .toSorted((a, b) => a - b),
      Array.from({ length: 30 }, (_, index) => index),
    );
  });

  test("append takes whole lines only", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    await assert.rejects(destination.append("jobs/e.jsonl", Buffer.from("no newline"), never), hasCode("internal"));
    await assert.rejects(destination.append("jobs/e.jsonl", Buffer.alloc(0), never), hasCode("internal"));
    assert.deepEqual(await place.listEverything(), []);
  });

  test("W12 remove takes an object or a whole folder; what is not there counts as removed", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    await publish(destination, "directory", "b1", "x");
    await publish(destination, "directory", "b10", "x");
    await publish(destination, "beside", "b2", "x");
    await destination.remove("jobs/b1", never);
    await destination.remove("jobs/b1", never);
    await destination.remove("jobs/b2.manifest.json", never);
    await destination.remove("nowhere/b1", never);
    assert.deepEqual(await listKeys(destination), ["jobs/b10/b10", "jobs/b10/manifest.json", "jobs/b2"]);
    assert.deepEqual(await place.listEverything(), await listKeys(destination));
    await publish(destination, "directory", "b1", "again");
    assert.equal(await readText(destination, "jobs/b1/b1"), "again");
    await assert.rejects(destination.remove("jobs/b1", AbortSignal.abort()), hasCode("cancelled"));
    assert.equal(await destination.exists("jobs/b1", never), true);
  });
}

export function describeMarker(fixture: DestinationFixture): void {
  test("P10 F19 without a marker nothing is written or removed, everything is read, and the error names the command", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    await publish(destination, "directory", "b1", "kept");
    await place.unmark();
    const before = await place.listEverything();
    const unmarked = hasCode("destination-unmarked", `holdfast destination init ${name}`);
    await assert.rejects(destination.openPublication("jobs", "b2", "directory", createId(2), never), unmarked);
    await assert.rejects(destination.append("jobs/b1.events.jsonl", Buffer.from("{}\n"), never), unmarked);
    await assert.rejects(destination.remove("jobs/b1", never), unmarked);
    await assert.rejects(
      destination.recover(() => false, never),
      unmarked,
    );
    await assert.rejects(destination.identify(never), unmarked);
    assert.deepEqual(await place.listEverything(), before);
    assert.equal(await readText(destination, "jobs/b1/b1"), "kept");
    assert.equal((await listKeys(destination)).length, 2);
    assert.equal((await destination.probe(never)).marked, false);
    await destination.initialize("adopt", never);
    assert.equal((await destination.probe(never)).marked, true);
    assert.equal(await readText(destination, "jobs/b1/b1"), "kept");
    await publish(destination, "directory", "b2", "after adoption the next run works");
  });

  test("P10 init makes a place that is not there, and may be repeated", async () => {
    await using place = await fixture.openPlace();
    await place.vanish();
    await using destination = await place.open(name);
    await assert.rejects(destination.identify(never), hasCode("destination-missing"));
    await destination.initialize("init", never);
    const id = await destination.identify(never);
    await destination.initialize("init", never);
    await destination.initialize("adopt", never);
    assert.equal(await destination.identify(never), id);
    await using elsewhere = await fixture.openPlace();
    await using namesake = await elsewhere.open(name);
    await namesake.initialize("init", never);
    assert.notEqual(await namesake.identify(never), id);
    await publish(destination, "directory", "b1", "x");
  });

  test("init refuses a place with something in it; adopt takes it", async () => {
    await using place = await fixture.openPlace();
    await place.plant("somebody/else", "theirs");
    await using destination = await place.open(name);
    await assert.rejects(destination.initialize("init", never), hasCode("refused"));
    await destination.initialize("adopt", never);
    assert.equal(await readText(destination, "somebody/else"), "theirs");
  });

  test("another destination's place is foreign: read, but neither written nor taken over", async () => {
    await using place = await openMarked(fixture);
    await using mine = await place.open(name);
    await publish(mine, "directory", "b1", "mine");
    await using other = await place.open("other");
    const foreign = hasCode("destination-foreign");
    await assert.rejects(other.initialize("init", never), foreign);
    await assert.rejects(other.initialize("adopt", never), foreign);
    await assert.rejects(other.openPublication("jobs", "b2", "directory", createId(2), never), foreign);
    await assert.rejects(other.remove("jobs/b1", never), foreign);
    await assert.rejects(other.identify(never), foreign);
    await assert.rejects(
      other.recover(() => false, never),
      foreign,
    );
    assert.equal(await readText(other, "jobs/b1/b1"), "mine");
  });

  test("A18 probe of a good place: marked, writable, and it leaves nothing", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    const facts = await destination.probe(never);
    assert.deepEqual({ marked: facts.marked, writable: facts.writable, notes: facts.notes }, { marked: true, writable: true, notes: [] });
    assert.deepEqual(await place.listEverything(), []);
  });
}
