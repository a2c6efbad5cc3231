import { z } from "zod";
import { listDatastoreDrivers } from "../datastores/registry.ts";
import { listDestinationDrivers } from "../destinations/registry.ts";
import { settingsSchema } from "./load-settings.ts";
import { datastoreFields, destinationFields, makeStrict } from "./read-sections.ts";
import { channelSchemas } from "./schema/channel.ts";
import { namePattern } from "./schema/fields.ts";
import { jobSchema } from "./schema/job.ts";

type Json = Readonly<Record<string, unknown>>;

interface KindedDriver {
  readonly kind: string;
  readonly description: string;
  readonly optionsSchema: z.ZodType;
}

const referenceSchema = {
  description: "The value of an environment variable.",
  type: "object",
  properties: {
    env: { type: "string" },
    default: { type: ["string", "number", "boolean"] },
    unit: { enum: ["ms", "s", "m", "h", "d", "w"] },
  },
  required: ["env"],
  additionalProperties: false,
};
const secretSchema = {
  description: "A secret in a file, or in a credential of the systemd unit.",
  type: "object",
  properties: { file: { type: "string", pattern: "^/" }, credential: { type: "string" } },
  minProperties: 1,
  maxProperties: 1,
  additionalProperties: false,
};

/** The JSON Schema of config files, from the schemas that check them: editors complete and validate with it. */
export function createJsonSchema(): Json {
  const named = (entry: Json): Json => ({
    type: ["object", "null"],
    propertyNames: { pattern: namePattern.source },
    additionalProperties: entry,
  });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Holdfast configuration",
    type: "object",
    properties: {
      settings: { ...convert(settingsSchema), type: ["object", "null"] },
      datastores: named({ anyOf: listDatastoreDrivers().flatMap((driver) => describeDriver(driver, datastoreFields)) }),
      destinations: named({ anyOf: listDestinationDrivers().flatMap((driver) => describeDriver(driver, destinationFields)) }),
      jobs: named(convert(jobSchema)),
      notify: named({ anyOf: Object.values(channelSchemas).map((schema) => convert(schema)) }),
    },
    additionalProperties: false,
    $defs: { reference: referenceSchema, secret: secretSchema },
  };
}

/** One schema per mapping that the driver takes, each with our own keys added. */
function describeDriver(driver: KindedDriver, own: z.ZodType): readonly Json[] {
  const { anyOf = [], ...single } = convert(makeStrict(driver.optionsSchema));
  const shared = convert(own)["properties"] as Json;
  const mappings = (anyOf as readonly Json[]).length > 0 ? (anyOf as readonly Json[]) : [single];
  return mappings.map((options) => ({
    ...options,
    description: driver.description,
    properties: { kind: { const: driver.kind }, ...(options["properties"] as Json), ...shared },
    required: ["kind", ...((options["required"] ?? []) as readonly string[]).filter((key) => key !== "kind")],
  }));
}

function convert(schema: z.ZodType): Json {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any", reused: "inline" }) as Json;
  return allowReferences(json);
}

const scalarTypes: ReadonlySet<unknown> = new Set(["string", "number", "integer", "boolean"]);

/** Wherever text, a number or a flag can stand, a reference to one can. */
function allowReferences(schema: Json): Json {
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, descend(key, value)]));
  const { secret, description, ...rest } = inner;
  if ("const" in rest || !acceptsScalar(rest)) return inner;
  const references = [{ $ref: "#/$defs/reference" }, ...(secret === true ? [{ $ref: "#/$defs/secret" }] : [])];
  const branches = "anyOf" in rest && Object.keys(rest).length === 1 ? (rest["anyOf"] as readonly Json[]) : [rest];
  return {
    ...(description === undefined ? {} : { description }),
    anyOf: [...branches.filter((branch) => branch["$ref"] === undefined), ...references],
  };
}

function acceptsScalar(schema: Json): boolean {
  return (
    scalarTypes.has(schema["type"]) ||
    "enum" in schema ||
    (Array.isArray(schema["anyOf"]) && schema["anyOf"].some((each) => acceptsScalar(each as Json)))
  );
}

function descend(key: string, value: unknown): unknown {
  const isSchema = (each: unknown): each is Json => typeof each === "object" && each !== null && !Array.isArray(each);
  if ((key === "items" || key === "additionalProperties") && isSchema(value)) return allowReferences(value);
  if (key === "properties" && isSchema(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, isSchema(each) ? allowReferences(each) : each]));
  }
  // Branches themselves: the whole anyOf gets the reference, once.
  if (key !== "anyOf" || !Array.isArray(value)) return value;
  return value.map((each: unknown) =>
    isSchema(each) ? Object.fromEntries(Object.entries(each).map(([name, inner]) => [name, descend(name, inner)])) : each,
  );
}
