import { z } from "zod";
import { manifestFormat, manifestSchema } from "./manifest-schema.ts";

/** The schema of a whole manifest file, for docs/manifest.schema.json. What one field says of another stands in docs/FORMAT.md only. */
export function createManifestJsonSchema(): unknown {
  const { $schema, ...manifest } = z.toJSONSchema(manifestSchema, { target: "draft-2020-12" });
  return {
    $schema,
    title: `Manifest of a Holdfast backup, format ${manifestFormat}`,
    type: "object",
    properties: {
      sha256: { description: "Of the exact bytes of the second value.", type: "string", pattern: "^[0-9a-f]{64}$" },
      manifest,
    },
    required: ["sha256", "manifest"],
    additionalProperties: false,
  };
}
