import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { createEntry, openWritten, readAll, writeBackup, type WrittenBackup } from "../../test/support/write-backup.ts";
import { HoldfastError } from "../base/errors.ts";
import { openLoneArchive } from "./backup-reader.ts";
import type { CompressionMethod } from "./compression.ts";

const never = new AbortController().signal;
/** In each layout every bit is flipped; where only the compression differs, one bit of each byte. */
const cases = [
  ["directory", "none", 1],
  ["directory", "gzip", 9],
  ["directory", "zstd", 9],
  ["archive", "none", 9],
  ["archive", "gzip", 1],
  ["archive", "zstd", 9],
  ["file", "none", 9],
  ["file", "gzip", 9],
  ["file", "zstd", 1],
] as const;
const refusals = new Set(["backup-damaged", "backup-incomplete", "backup-not-found", "manifest-invalid", "format-unsupported"]);

for (const [layout, method, step] of cases) {
  test(`E1 F55 F56 ${step === 1 ? "every bit flip," : "a bit flip of every byte, every"} truncation and appended byte of every object is refused: ${layout}, ${method}`, async () => {
    const written = await writeSmall(layout, method);
    const { store } = written;
    await readAll(await openWritten(written));
    for (const [key, whole] of Array.from(store.objects)) {
      for (const damaged of damage(whole, step)) {
        store.objects.set(key, damaged);
        await assertRefused(() => openWritten(written), `${key} ${describe(whole, damaged)}`);
      }
      store.objects.delete(key);
      await assertRefused(() => openWritten(written), `${key} removed`);
      store.objects.set(key, whole);
    }
    await readAll(await openWritten(written));
  });
}

for (const method of ["none", "gzip", "zstd"] as const) {
  test(`E1 D10 M9 a lone archive is refused at every damage that changes what it holds: ${method}`, async () => {
    const written = await writeSmall("archive", method);
    const { store, manifest } = written;
    const key = "jobs/lone.bak";
    const whole = store.objects.get(`jobs/${manifest.name}`) ?? Buffer.alloc(0);
    const head = manifest.archive?.head.bytes ?? 0;
    let harmless = 0;
    for (const damaged of damage(whole, 9)) {
      store.objects.set(key, damaged);
      const same =
        damaged.subarray(0, head).equals(whole.subarray(0, head)) &&
        decompress(method, damaged.subarray(head))?.equals(decompress(method, whole.subarray(head)) ?? Buffer.alloc(0)) === true;
      if (!same) await assertRefused(() => openLoneArchive(store, "jobs", "lone.bak", never), describe(whole, damaged));
      else harmless += 1;
    }
    assert.ok(
      harmless <= (method === "none" ? 0 : 80),
      `${harmless} flips only changed what the compression's own headers may say otherwise`,
    );
    store.objects.set(key, whole);
    await readAll(await openLoneArchive(store, "jobs", "lone.bak", never));
  });
}

test("F56 two manifests that were swapped, and a manifest under another name, are refused", async () => {
  const one = await writeSmall("directory", "none", "one");
  const two = await writeSmall("directory", "none", "two");
  const swapped = two.store.objects.get(two.key) ?? Buffer.alloc(0);
  one.store.objects.set(one.key, swapped);
  await assertRefused(() => openWritten(one), "swapped");
});

/** At most 2 KiB without the manifest. */
async function writeSmall(layout: (typeof cases)[number][0], method: CompressionMethod, stem = "b"): Promise<WrittenBackup> {
  const text = Buffer.from("INSERT INTO messages VALUES (1, 'quack');\n".repeat(4));
  const entries =
    layout === "file" || (layout === "archive" && method === "none")
      ? [createEntry("a.db", text)]
      : [createEntry("a.db", text), createEntry("deep/b.json", Buffer.from('{"b":1}'))];
  return await writeBackup({
    layout,
    stem,
    compression: { method },
    texts: layout === "archive" && method === "none" ? "none" : "all",
    members: [{ datastore: "one", entries }],
  });
}

/** @param step 1 for every bit; 9 for another bit of each byte */
function* damage(whole: Buffer, step = 1): Generator<Buffer, void, undefined> {
  for (let bit = 0; bit < whole.length * 8; bit += step) {
    const flipped = Buffer.from(whole);
    flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    yield flipped;
  }
  for (let length = 0; length < whole.length; length += 1) yield whole.subarray(0, length);
  for (let byte = 0; byte < 256; byte += 1) yield Buffer.concat([whole, Buffer.of(byte)]);
}

function describe(whole: Buffer, damaged: Buffer): string {
  if (damaged.length !== whole.length) return `${damaged.length} instead of ${whole.length} bytes`;
  return `byte ${whole.findIndex((byte, index) => byte !== damaged[index])} changed`;
}

async function assertRefused(open: () => Promise<Parameters<typeof readAll>[0]>, what: string): Promise<void> {
  try {
    await readAll(await open());
  } catch (error) {
    if (error instanceof HoldfastError && refusals.has(error.code)) return;
    throw new Error(`${what}: ${String(error)}`, { cause: error });
  }
  assert.fail(`${what}: was accepted`);
}

/** Undefined when it is damaged or has garbage at its end. */
function decompress(method: CompressionMethod, bytes: Buffer): Buffer | undefined {
  if (method === "none") return bytes;
  try {
    const { buffer, engine } = (method === "gzip"
      ? gunzipSync(bytes, { info: true })
      : zstdDecompressSync(bytes, { info: true })) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
    return engine.bytesWritten === bytes.length ? buffer : undefined;
  } catch {
    return undefined;
  }
}
