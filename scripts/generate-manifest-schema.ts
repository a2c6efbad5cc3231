// Writes docs/manifest.schema.json, with which other programs check manifests. A test keeps both equal.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createManifestJsonSchema } from "../src/archive/manifest-json-schema.ts";

writeFileSync(join(import.meta.dirname, "../docs/manifest.schema.json"), `${JSON.stringify(createManifestJsonSchema(), null, 2)}\n`);
