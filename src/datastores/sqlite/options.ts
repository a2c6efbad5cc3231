import { isAbsolute } from "node:path";
import { z } from "zod";

const milliseconds = z.number().int().positive();

// SQLite's wrapper trims file names, so a path that ends in white space would be another file.
const databasePath = z
  .string()
  .refine((path) => isAbsolute(path) && !path.includes("\0"), { message: "must be an absolute path" })
  .refine((path) => path === path.trim(), { message: "must not end in white space" })
  .refine((path) => !path.endsWith("/"), { message: "must name a file" });

export const sqliteOptions = z
  .strictObject({
    path: databasePath.describe("The database file; symbolic links are resolved."),
    optional: z.boolean().default(false).describe("Whether the database may be missing."),
    runAs: z
      .union([z.string().min(1), z.number().int().nonnegative()])
      .optional()
      .describe("User (name or uid) that opens the live database; default: the owner of the file."),
    busyTimeoutMs: milliseconds.default(5_000).describe("How long to wait for a lock that the application holds."),
    maxHoldMs: milliseconds
      .default(4_000)
      .describe(
        "How long writers may be kept waiting while a database in rollback-journal mode is copied; keep it below their busy timeout.",
      ),
    maxDurationMs: milliseconds.default(30 * 60_000).describe("How long one copy may take in all."),
    entry: z
      .string()
      .regex(/^[^/\0]+$/, "must be a plain file name")
      .refine((name) => name !== "." && name !== "..", { message: "must be a plain file name" })
      .optional()
      .describe("Name of the file in the backup; default: the database's own name."),
    integrity: z.enum(["full", "quick"]).default("full").describe("`full`: integrity_check; `quick`: quick_check, which skips indexes."),
    countRows: z
      .union([z.literal("all"), z.array(z.string().min(1))])
      .default("all")
      .describe("Tables whose rows stand in the statistics. All are counted, so that a restore can be compared."),
  })
  .describe("A SQLite database");

export type SqliteOptions = z.infer<typeof sqliteOptions>;
