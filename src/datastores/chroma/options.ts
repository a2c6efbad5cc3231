import { isAbsolute } from "node:path";
import { z } from "zod";
import { durationField, secretField } from "../../base/fields.ts";
import { directoryField } from "../volume.ts";

const absolutePath = z.string().refine((path) => isAbsolute(path) && !path.includes("\0"), "must be an absolute path");
const word = z.string().regex(/^[^\s\0/]+$/, "must not be empty, and without white space and slashes");
const serverUrl = z
  .url({ protocol: /^https?$/ })
  .refine((url) => URL.parse(url)?.username === "", "must not hold a password; use `token` or `headers`");
const entryName = z
  .string()
  .regex(/^[^/\0]+$/, "must be a plain file name")
  .refine((name) => name !== "." && name !== "..", "must be a plain file name");

export const chromaOptions = z
  .strictObject({
    path: directoryField
      .optional()
      .describe(
        "The server's data directory, which holds chroma.sqlite3; links are resolved. Or `{ volume: NAME }`, of the Docker engine.",
      ),
    url: serverUrl
      .optional()
      .describe(
        "`http://host:port` of the server. Without `path` the backup is made of its answers; with it, a restore asks whether it runs again.",
      ),
    token: secretField.optional().describe("Sent as `Authorization: Bearer …`."),
    headers: z
      .record(z.string().regex(/^[A-Za-z0-9-]+$/, "must be the name of a header"), secretField)
      .default({})
      .describe("Further headers, as `X-Chroma-Token`; their values are secret."),
    tenant: word.default("default_tenant").describe("Tenant that is backed up through `url`."),
    database: word.default("default_database").describe("Database that is backed up through `url`."),
    entry: entryName.optional().describe("Name in the backup, without `.tar`; default: the datastore's name."),
    server: z
      .union([absolutePath, z.array(z.string().regex(/^[^\0]+$/, "must not be empty")).min(1)])
      .optional()
      .describe(
        "Program that is started on a copy, to query it: a path, or a command in which `{path}` and `{port}` are replaced. Default: `chroma` in PATH.",
      ),
    samples: z
      .number()
      .int()
      .min(1)
      .max(1000)
      .default(40)
      .describe("How many records of each collection are queried to prove the indexes."),
    waitFor: durationField("How long a server is waited for that does not answer yet; default 10s.", { maxMs: 3_600_000 }).default(10_000),
    optional: z.boolean().default(false).describe("An absent source is recorded as such instead of failing the run."),
    allowEmpty: z.boolean().default(false).describe("A server without collections is no failure."),
  })
  .refine(({ path, url }) => (path ?? url) !== undefined, { message: "needs `path`, `url`, or both", path: ["path"] })
  .describe("A Chroma server");

export type ChromaOptions = z.output<typeof chromaOptions>;
