import { isAbsolute } from "node:path";
import { z } from "zod";
import { secretField } from "../../base/fields.ts";

const text = z.string().regex(/^[^\0]+$/, "must not be empty");
const absolutePath = z.string().refine((path) => isAbsolute(path) && !path.includes("\0"), "must be an absolute path");

export const sslModes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;

/** How to reach a server; the same for backing up and for restoring. */
export const connectionFields = {
  url: secretField
    .describe("`postgresql://user:password@host:5432/database?sslmode=verify-full`; fields that stand beside it go before it.")
    .optional(),
  host: text.describe("Host name or address, or the directory of the Unix socket; default: the socket of this machine.").optional(),
  port: z.number().int().min(1).max(65_535).describe("5432 by default.").optional(),
  user: text.describe("Role that connects; for a backup `pg_read_all_data` is enough.").optional(),
  password: secretField.optional(),
  database: text.describe("The database; by default the one that is named like the user.").optional(),
  service: text.describe("Name of a connection in the service file of the account that runs the tools.").optional(),
  passfile: absolutePath.describe("Password file, in the format of `.pgpass`.").optional(),
  ssl: z
    .strictObject({
      mode: z.enum(sslModes).describe("`prefer` by default; only `verify-full` proves which server answers."),
      rootCert: absolutePath.describe("Certificates of the authorities that are trusted.").optional(),
      cert: absolutePath.describe("Our certificate.").optional(),
      key: absolutePath.describe("Key of our certificate.").optional(),
    })
    .refine(({ mode, rootCert }) => !mode.startsWith("verify") || rootCert !== undefined, "verify-ca and verify-full need rootCert")
    .optional(),
} as const;

const connectionObject = z.strictObject(connectionFields);
export type ConnectionOptions = z.output<typeof connectionObject>;
