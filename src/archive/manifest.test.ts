import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import { fc } from "../../test/support/properties.ts";
import { openWritten, readAll, writeBackup, createEntry } from "../../test/support/write-backup.ts";
import { HoldfastError, type ErrorCode } from "../base/errors.ts";
import { parseManifest, sealManifest, type Manifest, type ManifestEntry } from "./manifest.ts";
import { manifestLimitBytes, sealJson, unsealJson } from "./sealed-json.ts";

let archive: Manifest;
let directory: Manifest;
let file: Manifest;

before(async () => {
  const members = [{ datastore: "memory", entries: [createEntry("a.db", Buffer.from("data")), createEntry("b.json", Buffer.from("{}"))] }];
  archive = (await writeBackup({ layout: "archive", compression: { method: "gzip" }, members })).manifest;
  directory = (await writeBackup({ layout: "directory", compression: { method: "none" }, members })).manifest;
  file = (
    await writeBackup({
      layout: "file",
      compression: { method: "zstd" },
      members: [{ datastore: "memory", entries: [createEntry("a.db", Buffer.from("data"))] }],
    })
  ).manifest;
});

test("a manifest comes back as it was, and sealing it again gives the same bytes", () => {
  for (const manifest of [archive, directory, file]) {
    const sealed = sealManifest(manifest);
    const parsed = parseManifest(sealed, "x");
    assert.deepEqual(parsed.manifest, manifest);
    assert.deepEqual(sealManifest(parsed.manifest), sealed);
  }
});

test("E7 any bytes, and any JSON sealed as a manifest, are refused with a known error or are valid", () => {
  const mutated = fc.tuple(
    fc.constantFrom("archive", "directory", "file"),
    fc.nat(),
    fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.constantFrom("..", "a/../b", "/etc/passwd", "", "\0", "__proto__", -1, 1e308, null, [], {}, "manifest.json"),
    ),
  );
  const property = fc.property(
    fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc.jsonValue(),
      mutated.map((drawn) => ({ drawn })),
    ),
    (input) => {
      assertTyped(toBytes(input));
    },
  );
  fc.assert(property, { numRuns: 3000 });
});

/** Every leaf of a manifest, one at a time, replaced or removed. */
test("E7 F57 every field that is replaced by something hostile or left out is refused, or gives an equally valid manifest", () => {
  const hostile = [
    null,
    -1,
    1.5,
    1e300,
    "",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a/../../b",
    "a//b",
    "x\0y",
    ".hidden",
    [],
    {},
    true,
    "x".repeat(5000),
    undefined,
  ];
  let refused = 0;
  for (const manifest of [archive, directory, file]) {
    for (const path of listPaths(manifest).slice(1)) {
      for (const value of hostile) refused += assertTyped(sealJson(replaceAt(manifest, path, value))) ? 0 : 1;
    }
  }
  assert.ok(refused > 2000, `${refused} were refused`);
});

test("F57 no name in an accepted manifest leads out of the backup", () => {
  const bad = ["..", "../x", "/x", "a/../x", "a/./x", "a//x", "a/", "", "x\0"];
  for (const manifest of [archive, directory]) {
    for (const name of bad) {
      assertInvalid({
        ...manifest,
        members: manifest.members.map((member) => ({ ...member, entries: member.entries.map((entry) => ({ ...entry, object: name })) })),
      });
      assertInvalid({
        ...manifest,
        members: manifest.members.map((member) => ({
          ...member,
          entries: member.entries.map((entry, index) => (index === 0 ? { ...entry, name } : entry)),
        })),
      });
      assertInvalid({ ...manifest, members: manifest.members.map((member) => ({ ...member, datastore: name })) });
      assertInvalid({ ...manifest, texts: manifest.texts.map((text, index) => (index === 0 ? { ...text, name } : text)) });
    }
    for (const name of [...bad, "a/b", ".x", "-x", "a\nb", "x.manifest.json"])
      assertInvalid({ ...manifest, name, archive: manifest.archive === null ? null : { ...manifest.archive, object: name } });
  }
});

test("parts that contradict each other are refused", () => {
  const [member] = archive.members;
  assert.ok(member !== undefined);
  const [first] = member.entries;
  assert.ok(first !== undefined);
  const withEntries = (manifest: Manifest, change: (entry: ManifestEntry, index: number) => ManifestEntry): Manifest => ({
    ...manifest,
    members: manifest.members.map((one) => ({ ...one, entries: one.entries.map(change) })),
  });
  const contradictions: Record<string, unknown> = {
    "archive without an archive": { ...archive, archive: null },
    "directory with an archive": { ...directory, archive: archive.archive },
    "archive of another name": { ...archive, archive: { ...archive.archive, object: "other.tar.gz" } },
    "two members of one name": { ...archive, members: [member, { ...member, status: "absent", entries: [] }] },
    "two entries of one name": withEntries(archive, (entry) => ({ ...entry, name: "same" })),
    "two objects of one name": withEntries(directory, (entry) => ({ ...entry, object: "same" })),
    "the manifest as an object": withEntries(directory, (entry, index) => (index === 0 ? { ...entry, object: "manifest.json" } : entry)),
    "a hidden object": withEntries(directory, (entry, index) => (index === 0 ? { ...entry, object: "a/.b" } : entry)),
    "an offset in a directory": withEntries(directory, (entry) => ({ ...entry, offset: 3 })),
    "no offset in an archive": withEntries(archive, (entry) => ({ ...entry, offset: null })),
    "a part beyond the archive": withEntries(archive, (entry) => ({ ...entry, offset: 1 << 30 })),
    "uncompressed, but different": withEntries(directory, (entry) => ({
      ...entry,
      stored: { ...entry.stored, bytes: entry.stored.bytes + 1 },
    })),
    "an absent member with entries": { ...archive, members: [{ ...member, status: "absent" }] },
    "an index that is not there": { ...archive, members: [{ ...member, index: "memory.index.jsonl" }] },
    "two entries in a file": withEntries(
      { ...file, members: [...file.members, { ...member, datastore: "other", entries: [{ ...first, offset: null }] }] },
      (entry) => entry,
    ),
    "a file of another name": withEntries(file, (entry) => ({ ...entry, object: "other" })),
    "an unknown field": { ...archive, extra: 1 },
  };
  for (const [what, manifest] of Object.entries(contradictions)) assertInvalid(manifest, what);
});

test("a later format is told apart from damage", () => {
  assert.throws(() => parseManifest(sealJson({ ...archive, format: 2, new: true }), "x"), hasCode("format-unsupported"));
  assert.throws(() => parseManifest(sealJson({ ...archive, format: 0 }), "x"), hasCode("manifest-invalid"));
});

test("F58 manifests that are too large or nested too deeply are refused before they are parsed", () => {
  assert.throws(() => unsealJson(Buffer.alloc(manifestLimitBytes + 1, " "), "x"), hasCode("manifest-invalid"));
  const deep = `${"[".repeat(5_000_000)}${"]".repeat(5_000_000)}`;
  assert.throws(() => unsealJson(seal(deep), "x"), hasCode("manifest-invalid"));
  assert.throws(() => unsealJson(seal(`${'{"a":'.repeat(65)}1${"}".repeat(65)}`), "x"), hasCode("manifest-invalid"));
  assert.deepEqual(unsealJson(seal(`["${"[".repeat(200)}","\\"[["]`), "x").value, ["[".repeat(200), '"[[']);
  assert.throws(() => unsealJson(seal('"\xff"', "latin1"), "x"), hasCode("manifest-invalid"));
});

test("a manifest that could not be read again is not written", () => {
  const note = { level: "info" as const, code: "x", message: "m".repeat(1000) };
  const [member] = directory.members;
  assert.ok(member !== undefined);
  const notes = Array.from({ length: 17_000 }, () => note);
  assert.throws(() => sealManifest({ ...directory, members: [{ ...member, notes }] }), hasCode("config-invalid"));
  assert.throws(() => sealManifest({ ...directory, sequence: -1 }), hasCode("internal"));
});

test("F58 a manifest that lies about sizes stops at the first byte too many", async () => {
  for (const layout of ["directory", "archive"] as const) {
    const written = await writeBackup({
      layout,
      compression: { method: "zstd" },
      members: [{ datastore: "memory", entries: [createEntry("a.db", Buffer.alloc(300_000))] }],
    });
    const lie = (change: (entry: ManifestEntry) => object): void => {
      const members = written.manifest.members.map((member) => ({
        ...member,
        entries: member.entries.map((entry) => ({ ...entry, ...change(entry) })),
      }));
      written.store.objects.set(written.key, Buffer.from(sealJson({ ...written.manifest, members })));
    };
    lie(({ plain }) => ({ plain: { ...plain, bytes: plain.bytes - 1 } }));
    await assert.rejects(openWritten(written).then(readAll), hasCode("backup-damaged"));
    lie(({ plain }) => ({ plain: { ...plain, bytes: plain.bytes + 1 } }));
    await assert.rejects(openWritten(written).then(readAll), hasCode("backup-damaged"));
    lie(({ stored }) => ({ stored: { ...stored, bytes: stored.bytes - 1 } }));
    await assert.rejects(openWritten(written).then(readAll), hasCode("backup-damaged"));
    lie(() => ({ compression: "gzip" }));
    await assert.rejects(openWritten(written).then(readAll), hasCode("backup-damaged"));
  }
});

function toBytes(input: unknown): Uint8Array {
  if (input instanceof Uint8Array) return input;
  if (typeof input !== "object" || input === null || !("drawn" in input) || !Array.isArray(input.drawn)) return sealJson(input);
  const [which, at, value] = input.drawn as [string, number, unknown];
  const manifest = which === "archive" ? archive : which === "file" ? file : directory;
  const paths = listPaths(manifest);
  return sealJson(replaceAt(manifest, paths[at % paths.length] ?? [], value));
}

/** True when it was accepted: then it must come back the same. */
function assertTyped(bytes: Uint8Array): boolean {
  let parsed: ReturnType<typeof parseManifest>;
  try {
    parsed = parseManifest(bytes, "x");
  } catch (error) {
    assert.ok(error instanceof HoldfastError, String(error));
    assert.ok(error.code === "manifest-invalid" || error.code === "format-unsupported", error.message);
    assert.ok(error.message.length < 600, "a message must not repeat what was given");
    return false;
  }
  assert.deepEqual(parseManifest(sealManifest(parsed.manifest), "x").manifest, parsed.manifest);
  return true;
}

function assertInvalid(manifest: unknown, what = ""): void {
  assert.throws(() => parseManifest(sealJson(manifest), "x"), hasCode("manifest-invalid"), what);
}

type Path = readonly (string | number)[];

function listPaths(value: unknown, path: Path = []): readonly Path[] {
  const children = typeof value === "object" && value !== null ? Object.entries(value) : [];
  return [path, ...children.flatMap(([key, child]) => listPaths(child, [...path, key]))];
}

function replaceAt(value: unknown, [key, ...rest]: Path, replacement: unknown): unknown {
  if (key === undefined) return replacement;
  const copy = structuredClone(value) as Record<string, unknown>;
  copy[key] = replaceAt(copy[key], rest, replacement);
  return copy;
}

function seal(json: string, encoding: BufferEncoding = "utf8"): Uint8Array {
  const marker = "0".repeat(64);
  const body = Buffer.from(json, encoding);
  const [head = ""] = Buffer.from(sealJson(marker)).toString().split(`"${marker}"`);
  const hash = createHash("sha256").update(body).digest("hex");
  return Buffer.concat([Buffer.from(head.replace(/[0-9a-f]{64}/, hash)), body, Buffer.from("}\n")]);
}

function hasCode(code: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof HoldfastError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  };
}
