// Writes config/holdfast.schema.json, which editors use to complete and check config files. A test keeps both equal.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createJsonSchema } from "../src/config/json-schema.ts";

writeFileSync(join(import.meta.dirname, "../config/holdfast.schema.json"), `${JSON.stringify(createJsonSchema(), null, 2)}\n`);
