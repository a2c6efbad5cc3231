import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { createEntry, writeBackup } from "../../test/support/write-backup.ts";
import { createManifestJsonSchema } from "./manifest-json-schema.ts";

const path = join(import.meta.dirname, "../../docs/manifest.schema.json");

test("docs/manifest.schema.json is what the code says", () => {
  assert.equal(
    readFileSync(path, "utf8"),
    `${JSON.stringify(createManifestJsonSchema(), null, 2)}\n`,
    "run: node scripts/generate-manifest-schema.ts",
  );
});

test("another program finds manifests of each layout valid by the schema, and wrong ones not", async () => {
  const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(JSON.parse(readFileSync(path, "utf8")) as object);
  for (const layout of ["directory", "archive", "file"] as const) {
    const { store, key } = await writeBackup({
      layout,
      compression: { method: "gzip" },
      members: [{ datastore: "one", entries: [createEntry("a.db", Buffer.from("x"))] }],
    });
    const manifest = JSON.parse((store.objects.get(key) ?? "").toString()) as { manifest: object };
    assert.ok(validate(manifest), JSON.stringify(validate.errors));
    assert.equal(validate({ ...manifest, manifest: { ...manifest.manifest, format: 2 } }), false);
    assert.equal(validate({ ...manifest, manifest: { ...manifest.manifest, more: 1 } }), false);
    assert.equal(validate({ manifest: manifest.manifest }), false);
  }
});
