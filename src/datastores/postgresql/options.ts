import { isAbsolute } from "node:path";
import { z } from "zod";
import { durationField } from "../../base/fields.ts";
import { viaField } from "../via.ts";
import { connectionFields } from "./connection-fields.ts";
import { globalsName } from "./entry-names.ts";

const text = z.string().regex(/^[^\0]+$/, "must not be empty");
const patterns = (description: string) => z.array(text).default([]).describe(description);

const fields = z.strictObject({
  ...connectionFields,
  runAs: z
    .union([z.string().min(1), z.number().int().nonnegative()])
    .describe("Account (name or uid) that runs the tools, for peer authentication: `postgres`.")
    .optional(),
  via: viaField.optional(),
  restoreConnection: z
    .strictObject(connectionFields)
    .describe("Goes before the connection above when something is restored: another role, another database name.")
    .optional(),
  format: z
    .enum(["custom", "plain", "directory", "cluster", "sqlite"])
    .default("custom")
    .describe(
      "`custom`: for pg_restore; `plain`: SQL; `directory`: dumped by parallel jobs; `cluster`: everything, by pg_dumpall; `sqlite`: the rows of every table in one SQLite file.",
    ),
  dumpCompression: z
    .union([z.literal("none"), z.strictObject({ level: z.number().int().min(1).max(9) })])
    .default("none")
    .describe("Inside the dump, by pg_dump itself. Holdfast's own compression is faster and packs better; formats custom and directory."),
  jobs: z.number().int().min(1).max(64).default(2).describe("Parallel connections of format directory."),
  databases: z
    .union([z.literal("all"), z.array(text).min(1)])
    .describe("Several databases, each in a file of its own: `all`, or names with `*` and `?`; ones that are created later are included.")
    .optional(),
  excludeDatabases: patterns("Names of databases that are left out, with `*` and `?`."),
  globals: z
    .union([z.literal(false), z.enum(["without-passwords", "with-passwords"])])
    .default(false)
    .describe("Roles and tablespaces in `globals.sql`; with password hashes only a superuser can read them."),
  schemaOnly: z.boolean().default(false).describe("No rows."),
  dataOnly: z.boolean().default(false).describe("Rows only."),
  tables: patterns("Only these tables: `name` or `schema.name`, with `*` and `?`, in the case in which they are written."),
  excludeTables: patterns("Tables that are left out."),
  excludeTableData: patterns("Tables whose rows are left out."),
  schemas: patterns("Only these schemas."),
  excludeSchemas: patterns("Schemas that are left out."),
  largeObjects: z.boolean().default(true).describe("Whether large objects are included."),
  lockTimeout: durationField("A dump gives up when a table stays locked for this long; 30s by default.", { minMs: 1 }).optional(),
  maxDuration: durationField("A dump is stopped after it; 6h by default.", { minMs: 1 }).optional(),
  waitFor: durationField("How long a server that is still starting is waited for; 30s by default.").optional(),
  optional: z.boolean().default(false).describe("Whether the database may be missing; a server that does not answer is a failure anyway."),
  entry: z
    .string()
    .regex(/^[^/\0]+$/, "must be a plain file name")
    .refine((name) => name !== "." && name !== "..", "must be a plain file name")
    .describe("Name of the file in the backup; by default the database's own name.")
    .optional(),
  binDir: z
    .string()
    .refine((path) => isAbsolute(path), "must be an absolute path")
    .describe("Directory of pg_dump and the other tools; by default those that fit the server are looked for.")
    .optional(),
});

type Fields = z.output<typeof fields>;

const selections = ["schemaOnly", "dataOnly", "tables", "excludeTables", "excludeTableData", "schemas", "excludeSchemas"] as const;
const isSet = (value: unknown): boolean => (Array.isArray(value) ? value.length > 0 : value !== false && value !== undefined);

/** Combinations that mean nothing: the field and why. */
function* findContradictions(options: Fields): Generator<readonly [keyof Fields, string]> {
  const { format } = options;
  if (options.schemaOnly && options.dataOnly) yield ["dataOnly", "does not go together with schemaOnly"];
  if (options.entry !== undefined && options.databases !== undefined) yield ["entry", "names one file, and `databases` may give several"];
  if (options.entry === globalsName) yield ["entry", "is the name of the roles' file: choose another"];
  if (options.excludeDatabases.length > 0 && options.databases === undefined && format !== "cluster")
    yield ["excludeDatabases", "means nothing without `databases: all`"];
  if (options.dumpCompression !== "none" && format !== "custom" && format !== "directory")
    yield ["dumpCompression", `means nothing for format ${format}: use compression`];
  if (format === "cluster") {
    for (const name of selections.filter((each) => isSet(options[each]))) yield [name, "means nothing for format cluster"];
    if (options.databases !== undefined) yield ["databases", "means nothing for format cluster, which has all: use excludeDatabases"];
    if (options.globals === "without-passwords") yield ["globals", "format cluster has them in the dump, with passwords"];
  }
  if (format === "sqlite") {
    for (const name of ["schemaOnly", "dataOnly", "excludeTableData", "databases", "globals"] as const)
      if (isSet(options[name])) yield [name, "means nothing for format sqlite"];
  }
  if (format === "directory" && options.via !== undefined)
    yield ["format", "directory cannot be used with `via`: it needs files, not a stream"];
  if (options.via !== undefined && options.runAs !== undefined)
    yield ["runAs", "cannot be used with `via`: name the role in `user`, and the account in `via.command`"];
}

export const postgresqlOptions = fields
  .superRefine((options, context) => {
    for (const [path, message] of findContradictions(options)) context.addIssue({ code: "custom", path: [path], message });
  })
  .describe("A PostgreSQL database, several, or a whole server");

export type PostgresqlOptions = z.output<typeof postgresqlOptions>;

/** Options in force where the config says nothing. */
export const defaults = { lockTimeoutMs: 30_000, maxDurationMs: 6 * 3_600_000, waitForMs: 30_000 } as const;
