import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { HoldfastError, type ErrorCode } from "../../src/base/errors.ts";
import { createId } from "../../src/base/ids.ts";
import type { ByteRange, Destination, PublicationShape } from "../../src/destinations/contract.ts";

/** One place that a destination keeps, as a test sees it. Closing it removes it. */
export interface DestinationPlace extends AsyncDisposable {
  /** A handle on the place under this name; handles are independent, like those of two processes. */
  open(name: string): Promise<Destination>;
  /** Takes the marker away, as when a disk is not mounted and its mount point is left. */
  unmark(): Promise<void>;
  /** Takes the whole place away. */
  vanish(): Promise<void>;
  /** An object that no Holdfast wrote. */
  plant(key: string, body: string): Promise<void>;
  /** Everything that takes space in the place, hidden things too, without the marker. */
  listEverything(): Promise<readonly string[]>;
}

/** What a test does to a place. Undefined where the kind of destination cannot have the fault. */
export interface DestinationFaults {
  /** A place in which about this many bytes fit. */
  readonly openSmallPlace: ((bytes: number) => Promise<DestinationPlace>) | undefined;
  /** Makes an initialised place read-only until the returned function is called. */
  readonly makeReadOnly: ((place: DestinationPlace) => Promise<() => Promise<void>>) | undefined;
}

export interface DestinationFixture {
  /** An empty place, not yet initialised. */
  openPlace(): Promise<DestinationPlace>;
  readonly faults: DestinationFaults;
}

const never = new AbortController().signal;
const name = "vault";
const shapes: readonly PublicationShape[] = ["directory", "beside"];

/** The suite that every destination passes, bare and wrapped. */
export function describeDestination(title: string, fixture: DestinationFixture): void {
  describe(`destination ${title}`, () => {
    describePublication(fixture);
    describeReading(fixture);
    describeChanging(fixture);
    describeMarker(fixture);
    describeRecovery(fixture);
    describeFaults(title, fixture);
  });
}

function describePublication(fixture: DestinationFixture): void {
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

function describeReading(fixture: DestinationFixture): void {
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

function describeChanging(fixture: DestinationFixture): void {
  test("append creates and adds; appends at the same time lose no line", async () => {
    await using place = await openMarked(fixture);
    await using destination = await place.open(name);
    await destination.append("jobs/b1.events.jsonl", Buffer.from('{"n":"first"}\n'), never);
    const handles = await Promise.all([1, 2, 3].map(() => place.open(name)));
    await Promise.all(
      Array.from({ length: 30 }, (_, index) => handles[index % 3]?.append("jobs/b1.events.jsonl", Buffer.from(`{"n":${index}}\n`), never)),
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

function describeMarker(fixture: DestinationFixture): void {
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
    await destination.initialize("init", never);
    await destination.initialize("init", never);
    await destination.initialize("adopt", never);
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

function describeRecovery(fixture: DestinationFixture): void {
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

function describeFaults(title: string, fixture: DestinationFixture): void {
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
  } else assert.ok(title !== "local", "a local destination can be full");

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

/** Closes the place, too, when it cannot be initialised. */
async function openMarked(fixture: DestinationFixture): Promise<DestinationPlace> {
  const place = await fixture.openPlace();
  try {
    await using destination = await place.open(name);
    await destination.initialize("init", never);
    return place;
  } catch (error) {
    await place[Symbol.asyncDispose]();
    throw error;
  }
}

async function publish(destination: Destination, shape: PublicationShape, backup: string, text: string): Promise<void> {
  await using publication = await destination.openPublication("jobs", backup, shape, createId(Date.now()), never);
  await publication.put(backup, chunks(Buffer.from(text), 1 << 20), never);
  await publication.publish({ name: manifestName(shape, backup), body: Buffer.from("m") }, never);
}

function manifestName(shape: PublicationShape, backup: string): string {
  return shape === "directory" ? "manifest.json" : `${backup}.manifest.json`;
}

function objectKey(shape: PublicationShape, backup: string, object: string, folder = "jobs/nightly"): string {
  return shape === "directory" ? `${folder}/${backup}/${object}` : `${folder}/${object}`;
}

async function listKeys(destination: Destination, folder = ""): Promise<readonly string[]> {
  return (await Array.fromAsync(destination.list(folder, never))).map(({ key }) => key).toSorted();
}

async function readText(destination: Destination, key: string): Promise<string> {
  return (await collect(destination.get(key, undefined, never))).toString();
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(body));
}

async function* chunks(body: Uint8Array, bytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < body.length; offset += bytes) yield body.subarray(offset, offset + bytes);
}

async function* failAfter(bytes: number, failure: Error): AsyncGenerator<Uint8Array, void, undefined> {
  yield Buffer.alloc(bytes);
  throw failure;
}

/** Neither ends nor looks at a signal. */
async function* hangAfter(bytes: number, onHang: () => void): AsyncGenerator<Uint8Array, void, undefined> {
  yield Buffer.alloc(bytes);
  setImmediate(onHang);
  await new Promise(() => undefined);
}

async function* reuseBuffer(times: number, bytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = Buffer.alloc(bytes);
  for (let part = 0; part < times; part += 1) yield buffer.fill(part);
}

/** @param hint a part of the error's hint */
function hasCode(code: ErrorCode, hint = ""): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof HoldfastError, `not a HoldfastError: ${String(error)}`);
    assert.equal(error.code, code, error.message);
    assert.ok((error.hint ?? "").includes(hint), `the hint lacks ${hint}: ${error.hint}`);
    return true;
  };
}
