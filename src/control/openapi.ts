import { z } from "zod";
import { errorPolicies } from "../base/errors.ts";
import type { Route } from "./route.ts";

type Json = Readonly<Record<string, unknown>>;

/** Describes routes as OpenAPI 3.1. */
export function createOpenApi(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const path = `/v1${route.path.replaceAll(/:([a-z]+)/gi, "{$1}")}`;
    (paths[path] ??= {})[route.method.toLowerCase()] = describeRoute(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Holdfast control socket",
      version,
      description:
        "HTTP over a Unix socket: `curl --unix-socket /run/holdfast/admin.sock http://localhost/v1/status`. Routes tagged `admin` are on the admin socket alone, the others on the read-only one too. Every answer has the headers `holdfast-version` and `holdfast-api`. Bodies are JSON of at most 64 KiB; unknown fields are refused.",
    },
    paths: Object.fromEntries(Object.entries(paths).toSorted(([one], [other]) => (one < other ? -1 : 1))),
    components: { schemas: { Error: describeError() } },
  };
}

function describeRoute(route: Route): Json {
  const body = toSchema(route.body, "input");
  const hasBody = Object.keys(body["properties"] ?? {}).length > 0;
  const media = route.stream ? "application/x-ndjson" : "application/json";
  return {
    operationId: nameOperation(route),
    summary: route.summary,
    tags: [route.access],
    parameters: [
      ...listParameters(route.params, "path"),
      ...listParameters(route.query, "query"),
      ...(route.method === "GET" ? [] : [idempotencyKey]),
    ],
    ...(hasBody ? { requestBody: { content: { "application/json": { schema: body } } } } : {}),
    responses: {
      "200": {
        description: route.answer,
        content: { [media]: { schema: route.response === undefined ? {} : toSchema(route.response, "output") } },
      },
      default: {
        description: "It did not go well; the HTTP status follows from the code",
        content: {
          "application/json": {
            schema: { type: "object", required: ["error"], properties: { error: { $ref: "#/components/schemas/Error" } } },
          },
        },
      },
    },
  };
}

const idempotencyKey: Json = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description: "The same key with the same request gives the first answer again; nothing is done twice.",
  schema: { type: "string", minLength: 1, maxLength: 200 },
};

/** `POST /jobs/:job/backups` → `postJobsByJobBackups` */
function nameOperation({ method, path }: Route): string {
  const words = path.split(/[^a-z:]+/i).filter((word) => word !== "");
  const name = words.map((word) => (word.startsWith(":") ? `By${capitalize(word.slice(1))}` : capitalize(word))).join("");
  return method.toLowerCase() + name;
}

function capitalize(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

function listParameters(schema: z.ZodType, place: "path" | "query"): readonly Json[] {
  const { properties = {}, required = [] } = toSchema(schema, "input") as { properties?: Json; required?: readonly string[] };
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === "path" || required.includes(name),
    schema: property,
  }));
}

function toSchema(schema: z.ZodType, io: "input" | "output"): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}

function describeError(): Json {
  return {
    type: "object",
    required: ["code", "message", "retryable"],
    properties: {
      code: { type: "string", enum: Object.keys(errorPolicies), description: "See docs/ERRORS.md" },
      message: { type: "string" },
      hint: { type: "string", description: "What to do about it" },
      retryable: { type: "boolean" },
      details: { type: "object" },
    },
  };
}
