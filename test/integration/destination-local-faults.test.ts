import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chownSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HoldfastError } from "../../src/base/errors.ts";
import type { Destination } from "../../src/destinations/contract.ts";
import { listFaultPoints, pickPoints, readSeed, runWithFault } from "../support/fault-points.ts";
import { LocalPlace, runOrThrow } from "../support/local-place.ts";

const program = join(import.meta.dirname, "../fixtures/programs/publish-once.ts");
const never = new AbortController().signal;
const isLong = process.env["HOLDFAST_LONG"] === "1";
const marker = ".holdfast-destination.json";

async function publish(destination: Destination, name: string, bodies: Readonly<Record<string, Uint8Array>>): Promise<void> {
  await using publication = await destination.openPublication("jobs", name, "beside", `0000000000000000000${name.at(-1) ?? ""}`, never);
  for (const [object, body] of Object.entries(bodies)) await publication.put(object, once(body), never);
  await publication.publish({ name: `${name}.manifest.json`, body: Buffer.from("m") }, never);
}

async function* once(body: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield body;
}

test("F14 a file system of every size in pages: a backup fits whole, or fails for space and leaves nothing", async () => {
  const outcomes = new Set<string>();
  for (let pages = 3; pages <= 24; pages += 1) {
    await using place = new LocalPlace();
    place.mount("-t", "tmpfs", "-o", `size=${pages * 4096},mode=0750`, "tmpfs");
    await using destination = await place.open("vault");
    try {
      await destination.initialize("init", never);
    } catch (error) {
      assertNoSpace(error, place);
      continue;
    }
    try {
      await publish(destination, "b1", { b1: Buffer.alloc(20_000, 1), "b1.info": Buffer.alloc(9_000, 2) });
      outcomes.add("ok");
      assert.deepEqual(await place.listEverything(), ["jobs/b1", "jobs/b1.info", "jobs/b1.manifest.json"], `${pages} pages`);
    } catch (error) {
      outcomes.add("no-space");
      assertNoSpace(error, place);
      assert.deepEqual(await place.listEverything(), [], `${pages} pages`);
    }
  }
  assert.deepEqual([...outcomes].toSorted(), ["no-space", "ok"]);
});

function assertNoSpace(error: unknown, place: LocalPlace): void {
  assert.ok(error instanceof HoldfastError, String(error));
  assert.equal(error.code, "no-space");
  assert.ok(error.message.includes(place.root), error.message);
}

test("F14 inodes run out at every count: told as such, and nothing is left", async () => {
  let failures = 0;
  for (let inodes = 3; inodes <= 12; inodes += 1) {
    await using place = new LocalPlace();
    place.mount("-t", "tmpfs", "-o", `size=1m,nr_inodes=${inodes},mode=0750`, "tmpfs");
    await using destination = await place.open("vault");
    await destination.initialize("init", never);
    assert.ok((await destination.probe(never)).notes.some(({ code }) => code === "low-inodes"));
    try {
      await publish(destination, "b1", { b1: Buffer.of(1), "b1.info": Buffer.of(2) });
    } catch (error) {
      failures += 1;
      assertNoSpace(error, place);
      assert.match((error as Error).message, /no inodes left/);
      assert.deepEqual(await place.listEverything(), []);
    }
  }
  assert.ok(failures > 0 && failures < 10, `${failures} of 10 failed`);
});

test("F17 a short write and EFBIG: an error that names the directory, and nothing is left", async () => {
  await using place = await openMarked();
  for (const limit of [100, 1_500_000, 2_500_001]) {
    const { stdout } = spawnSync("prlimit", [`--fsize=${limit}`, process.execPath, program, place.root, "b1", "directory"], {
      encoding: "utf8",
      env: { ...process.env, BODY_BYTES: "3000000" },
    });
    assert.equal(stdout, "failed no-space\n", `limit ${limit}`);
    assert.deepEqual(await place.listEverything(), []);
  }
});

test("F17 an append that is written short is undone", async () => {
  await using place = await openMarked();
  await using destination = await place.open("vault");
  await destination.append("jobs/b1.events.jsonl", Buffer.from('{"event":"first"}\n'), never);
  const { stdout } = spawnSync("prlimit", ["--fsize=25", process.execPath, program, place.root, "b1", "append"], { encoding: "utf8" });
  assert.equal(stdout, "failed no-space\n");
  const text = Buffer.concat(await Array.fromAsync(destination.get("jobs/b1.events.jsonl", undefined, never))).toString();
  assert.equal(text, '{"event":"first"}\n');
});

test("F20 without the right to write, or to read, it is an error that names the directory", async () => {
  await using place = await openMarked();
  chownSync(place.root, 65534, 65534);
  // Root without capabilities is bound by modes like anybody else.
  const powerless = ["--bounding-set=-all", "--inh-caps=-all", process.execPath, program, place.root, "b1"];
  for (const [mode, expected] of [
    ["0755", "failed destination-unwritable\n"],
    ["0700", "failed destination-unwritable\n"],
    ["0777", "done\n"],
  ] as const) {
    runOrThrow("chmod", [mode, place.root]);
    const { stdout, stderr } = spawnSync("setpriv", [...powerless, "directory"], { encoding: "utf8" });
    assert.equal(stdout, expected, `${mode} ${stderr}`);
    if (expected !== "done\n") assert.deepEqual(readdirSync(place.root), [marker]);
  }
});

test("F19 A13 P10 a destination whose disk is not mounted: nothing goes into the mount point; mounted again, the next run works", async () => {
  await using disk = await openMarked();
  await using place = new LocalPlace();
  await using destination = await place.open("vault");
  runOrThrow("mount", ["--bind", disk.root, place.root]);
  try {
    await publish(destination, "b1", { b1: Buffer.of(1) });
  } finally {
    runOrThrow("umount", [place.root]);
  }
  await assert.rejects(publish(destination, "b2", { b2: Buffer.of(1) }), {
    code: "destination-unmarked",
    hint: /Mount the disk; .*: holdfast destination init vault$/,
  });
  await assert.rejects(destination.remove("jobs/b1", never), { code: "destination-unmarked" });
  assert.equal((await destination.probe(never)).marked, false);
  assert.deepEqual(readdirSync(place.root), []);
  place.mount("--bind", disk.root);
  await publish(destination, "b2", { b2: Buffer.of(1) });
  assert.deepEqual(await disk.listEverything(), ["jobs/b1", "jobs/b1.manifest.json", "jobs/b2", "jobs/b2.manifest.json"]);
});

for (const shape of ["beside", "directory"] as const) {
  const whole =
    shape === "beside"
      ? ["jobs/b1", "jobs/b1.info", "jobs/b1.manifest.json"]
      : ["jobs/b1/b1", "jobs/b1/deep/er.db", "jobs/b1/manifest.json"];

  test(`F18 ${shape}: a power cut after it was published leaves all of it`, async () => {
    await using disk = new PowerlessDisk();
    runOrThrow(process.execPath, [program, disk.live.root, "b1", shape]);
    await using cut = disk.cutPower();
    assert.deepEqual(await cut.listEverything().then(visibleOf), whole);
    await assertReadable(cut, whole);
  });

  test(`F18 ${shape}: a power cut before any change leaves, recovered, all of it or nothing`, async (t) => {
    const points = await (async () => {
      await using disk = new PowerlessDisk();
      return await listFaultPoints([program, disk.live.root, "b1", shape]);
    })();
    const seed = readSeed();
    const chosen = isLong ? points : pickPoints(points, 3, seed, `power ${shape}`);
    t.diagnostic(`${chosen.length} of ${points.length} points, HOLDFAST_SEED=${seed}`);
    for (const point of chosen) {
      await using disk = new PowerlessDisk();
      const run = await runWithFault([program, disk.live.root, "b1", shape], point, "kill");
      assert.ok(run.killed);
      await using cut = disk.cutPower();
      await using destination = await cut.open("vault");
      await destination.recover(() => false, never);
      const found = await cut.listEverything();
      if (run.stdout.includes("done") || found.length > 0) assert.deepEqual(found, whole, `${point.call} ${point.n}`);
      await assertReadable(cut, found);
    }
  });
}

test("F18 a power cut after a removal or an append leaves it done", async () => {
  await using disk = new PowerlessDisk();
  for (const args of [
    ["b1", "directory"],
    ["b2", "directory"],
    ["b2", "append"],
    ["b2", "append"],
    ["b1", "remove"],
  ]) {
    runOrThrow(process.execPath, [program, disk.live.root, ...args]);
  }
  await using cut = disk.cutPower();
  assert.deepEqual(visibleOf(await cut.listEverything()), [
    "jobs/b2.events.jsonl",
    "jobs/b2/b2",
    "jobs/b2/deep/er.db",
    "jobs/b2/manifest.json",
  ]);
  await using destination = await cut.open("vault");
  assert.equal((await destination.stat("jobs/b2.events.jsonl", never))?.bytes, 2 * '{"event":"one more"}\n'.length);
});

/** A marked place on an ext4 image that writes nothing to the disk before it is asked to. */
class PowerlessDisk implements AsyncDisposable {
  readonly live = new LocalPlace();
  readonly #images = new LocalPlace();

  constructor() {
    const image = join(this.#images.root, "image");
    writeFileSync(image, "");
    truncateSync(image, 64 << 20);
    runOrThrow("mkfs.ext4", ["-q", "-F", image]);
    this.live.mount("-o", "loop,commit=600", image);
    writeFileSync(join(this.live.root, marker), JSON.stringify({ format: 1, id: "x", name: "vault", createdAt: "" }));
    mkdirSync(join(this.live.root, "jobs"));
    runOrThrow("sync", ["--file-system", this.live.root]);
  }

  /** What a machine finds that is switched on again after this moment. */
  cutPower(): LocalPlace {
    const [image, copy] = [join(this.#images.root, "image"), join(this.#images.root, "copy")];
    runOrThrow("cp", ["--sparse=always", image, copy]);
    const place = new LocalPlace();
    place.mount("-o", "loop", copy);
    return place;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.live[Symbol.asyncDispose]();
    await this.#images[Symbol.asyncDispose]();
  }
}

function visibleOf(entries: readonly string[]): readonly string[] {
  return entries.filter((entry) => !entry.split("/").some((component) => component.startsWith(".")));
}

async function assertReadable(place: LocalPlace, keys: readonly string[]): Promise<void> {
  await using destination = await place.open("vault");
  for (const key of keys) {
    const body = Buffer.concat(await Array.fromAsync(destination.get(key, undefined, never)));
    const expected = key.endsWith("manifest.json") ? Buffer.from("the manifest") : Buffer.alloc(3000, key.endsWith("b1") ? "a" : "b");
    assert.deepEqual(body, expected, key);
  }
}

async function openMarked(): Promise<LocalPlace> {
  const place = new LocalPlace();
  await using destination = await place.open("vault");
  await destination.initialize("init", never);
  return place;
}
