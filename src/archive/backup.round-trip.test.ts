import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { fc } from "../../test/support/properties.ts";
import { createEntry, openWritten, readAll, writeBackup, type WrittenBackup } from "../../test/support/write-backup.ts";
import { objectKey, parseManifestKey } from "./backup-keys.ts";
import { openLoneArchive } from "./backup-reader.ts";
import type { NewEntry } from "./backup-writer.ts";
import { compressionMethods, type CompressionMethod } from "./compression.ts";

const never = new AbortController().signal;
const layouts = ["directory", "archive", "file"] as const;

/** Bytes that do not pack, the same for the same seed. */
const makeNoise = (bytes: number, seed: number): Uint8Array =>
  bytes === 0 ? new Uint8Array() : new Uint8Array(createHash("shake256", { outputLength: bytes }).update(`${seed}`).digest());

const body = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 2000 }) },
  { weight: 1, arbitrary: fc.tuple(fc.integer({ min: 0, max: 200_000 }), fc.integer()).map(([bytes, seed]) => makeNoise(bytes, seed)) },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 3000 }).map((lines) => Buffer.from("a line of a log that says little\n".repeat(lines))),
  },
);
const component = fc.constantFrom(
  "luna.db",
  "a",
  "b",
  ".env",
  "-rf",
  "RESTORE.txt",
  "manifest.json",
  "x.manifest.json",
  "b.events.jsonl",
  "Ünïcödé ☃",
  "two words",
  "new\nline",
  "n".repeat(255),
  "é".repeat(127),
  "a.index.jsonl",
  "backup_info.txt",
  "_.env",
  "one",
  "it's",
  "*",
);
const entryName = fc.array(component, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
const entry = fc
  .record({ name: entryName, body, chunkBytes: fc.constantFrom(1, 7, 511, 512, 4096, 70_000), mode: fc.constantFrom("stream", "file") })
  .filter(({ body: bytes, chunkBytes }) => bytes.length / chunkBytes < 3000);
const members = fc.uniqueArray(fc.constantFrom("one", "a", "caches", "memory"), { minLength: 1, maxLength: 3 }).chain((datastores) =>
  fc.tuple(
    ...datastores.map((datastore) =>
      fc.record({
        datastore: fc.constant(datastore),
        entries: fc.uniqueArray(entry, { minLength: 0, maxLength: 4, selector: ({ name }) => name }),
      }),
    ),
  ),
);

interface Drawn {
  readonly datastore: string;
  readonly entries: readonly { readonly name: string; readonly body: Uint8Array; readonly chunkBytes: number; readonly mode: string }[];
}

for (const layout of layouts) {
  for (const method of compressionMethods) {
    test(`round trip in any chunking: ${layout}, ${method}`, async () => {
      const property = fc.asyncProperty(members, fc.constantFrom(61, 513, 65_536), async (drawn: readonly Drawn[], chunkBytes) => {
        const directory = mkdtempSync(join(tmpdir(), "holdfast-trip-"));
        try {
          await checkTrip(directory, layout === "file" ? keepOne(drawn) : drawn, { layout, method, chunkBytes });
        } finally {
          rmSync(directory, { recursive: true });
        }
      });
      await fc.assert(property, { numRuns: layout === "archive" ? 12 : 8 });
    });
  }
}

async function checkTrip(
  directory: string,
  drawn: readonly Drawn[],
  { layout, method, chunkBytes }: { layout: (typeof layouts)[number]; method: CompressionMethod; chunkBytes: number },
): Promise<void> {
  const expected = new Map(
    drawn.flatMap(({ datastore, entries }) =>
      entries.map(({ name, body: bytes }) => [`${datastore}/${name}`, Buffer.from(bytes)] as const),
    ),
  );
  let count = 0;
  const stage = ({ name, body: bytes, chunkBytes: pieces, mode }: Drawn["entries"][number]): NewEntry => {
    const streamed = createEntry(name, bytes, pieces);
    if (mode === "stream") return streamed;
    count += 1;
    const path = join(directory, `${count}.staged`);
    writeFileSync(path, bytes);
    return { ...streamed, body: { kind: "file", path, bytes: bytes.length } };
  };
  const written = await writeBackup({
    layout,
    compression: { method },
    chunkBytes,
    members: drawn.map(({ datastore, entries }) => ({ datastore, entries: entries.map(stage) })),
  });
  const opened = await openWritten(written);
  assert.deepEqual(opened.manifest, written.manifest);
  assert.deepEqual(await readAll(opened), expected);
  assert.match(await opened.readText("RESTORE.txt", never), /without Holdfast/);
  if (layout === "archive") await checkArchive(directory, written, expected, method);
  else checkObjects(written, expected);
}

/** D2, D3, D10: plain tools read what Holdfast wrote, and Holdfast reads an archive that was copied alone and renamed. */
async function checkArchive(
  directory: string,
  written: WrittenBackup,
  expected: ReadonlyMap<string, Buffer>,
  method: CompressionMethod,
): Promise<void> {
  const { manifest, store, location } = written;
  const archive = store.objects.get(objectKey(location, manifest.name)) ?? Buffer.alloc(0);
  const path = join(directory, manifest.name);
  writeFileSync(path, archive);
  const into = join(directory, "opened");
  mkdirSync(into);
  execFileSync("tar", ["-xf", path, "-C", into, "--no-same-owner"]);
  const top = join(into, manifest.name.replace(/\.tar.*/, ""));
  for (const member of manifest.members) {
    for (const stored of member.entries) {
      const plain = expected.get(`${member.datastore}/${stored.name}`);
      assert.deepEqual(readFileSync(join(top, stored.object)), plain);
      assert.equal(statSync(join(top, stored.object)).mtimeMs, Date.UTC(2024, 0, 1));
      const cut = archive.subarray(stored.offset ?? 0, (stored.offset ?? 0) + stored.stored.bytes);
      assert.deepEqual(decompress(method, cut), plain, "an entry that is cut out by its offset is whole");
    }
  }
  assert.match(
    execFileSync("tar", ["-xOf", path, "--wildcards", "*/backup_info.txt"], { encoding: "utf8", maxBuffer: 1 << 26 }),
    /Backup: +backup-2024/,
  );
  const renamed = `jobs/renamed-by-hand.bak`;
  store.objects.set(renamed, archive);
  const lone = await openLoneArchive(store, "jobs", "renamed-by-hand.bak", never);
  assert.deepEqual(await readAll(lone), expected);
  assert.match(await lone.readText("backup_info.txt", never), /^Backup: /);
}

function checkObjects({ manifest, store, location }: WrittenBackup, expected: ReadonlyMap<string, Buffer>): void {
  for (const member of manifest.members) {
    for (const { name, object, compression, stored } of member.entries) {
      const bytes = store.objects.get(objectKey(location, object)) ?? Buffer.alloc(0);
      assert.deepEqual(decompress(compression, bytes), expected.get(`${member.datastore}/${name}`));
      assert.equal(createHash("sha256").update(bytes).digest("hex"), stored.sha256);
      for (const part of object.split("/"))
        assert.ok(Buffer.byteLength(part) <= 255 && !part.startsWith("."), `a destination can keep ${object}`);
      if (manifest.layout === "directory")
        assert.equal(parseManifestKey(objectKey(location, object)), undefined, `${object} is not taken for a manifest`);
      assert.ok(!object.endsWith("events.jsonl"));
    }
  }
}

function decompress(method: CompressionMethod, bytes: Uint8Array): Buffer {
  if (method === "none") return Buffer.from(bytes);
  return method === "gzip" ? gunzipSync(bytes) : zstdDecompressSync(bytes);
}

function keepOne(drawn: readonly Drawn[]): readonly Drawn[] {
  const found = drawn.find(({ entries }) => entries.length > 0);
  const kept = found ?? { datastore: "one", entries: [{ name: "a.db", body: Buffer.from("x"), chunkBytes: 1, mode: "stream" }] };
  return [{ ...kept, entries: kept.entries.slice(0, 1) }];
}
