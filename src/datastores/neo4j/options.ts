import { isAbsolute } from "node:path";
import { z } from "zod";
import { durationField, secretField } from "../../base/fields.ts";
import { directoryField } from "../volume.ts";

const absolutePath = z.string().refine((path) => isAbsolute(path) && !path.includes("\0"), "must be an absolute path");
const memory = z.string().regex(/^[1-9]\d*[mg]$/, "must be like 512m or 4g");
const plainName = z
  .string()
  .regex(/^[^/\0]+$/, "must be a plain file name")
  .refine((name) => name !== "." && name !== "..", "must be a plain file name");

export const neo4jOptions = z
  .strictObject({
    data: directoryField.describe(
      "The server's data directory as this machine sees it, by its path or in a Docker volume: it has `databases` and `transactions` in it.",
    ),
    database: z
      .string()
      .regex(/^[a-z][a-z0-9.-]{2,62}$/, "must be the name of a database, in lower case")
      .default("neo4j")
      .describe("The database that is dumped, or whose graph is counted; default: neo4j."),
    method: z
      .enum(["dump", "archive", "online"])
      .default("dump")
      .describe(
        "`dump`: the archive of neo4j-admin, of one database; `archive`: the whole data directory as a tar; `online`: Enterprise's backup of a running server.",
      ),
    home: absolutePath
      .optional()
      .describe(
        "Where Neo4j is installed on this machine (`lib` is in it); default: found by neo4j-admin in PATH, then in the usual places.",
      ),
    java: z
      .string()
      .min(1)
      .default("java")
      .describe("The Java that runs Neo4j's tools: a path, or a program in PATH; 17 or newer for Neo4j 5."),
    prove: z
      .enum(["graph", "files"])
      .default("graph")
      .describe(
        "`graph`: a private server is started on a copy, which is checked and counted; `files`: an archive is only read to its end.",
      ),
    url: z
      .string()
      .regex(/^https?:\/\/[^\s@]+$/, "must be an http or https address, without a password")
      .optional()
      .describe("HTTP address of the server, which is asked after a restore whether it has the graph: `http://localhost:7474`."),
    user: z.string().min(1).default("neo4j").describe("Who asks it."),
    password: secretField.optional().describe("The user's password."),
    from: z.string().min(1).default("localhost:6362").describe("Where Enterprise's server listens for backups (`online`)."),
    heap: memory.default("512m").describe("Memory of each tool and private server: Java's heap."),
    pageCache: memory.default("128m").describe("And the page cache of each."),
    startTimeout: durationField("How long a private server may take to start, recovery included; default 10m.", { minMs: 1 }).default(
      10 * 60_000,
    ),
    optional: z.boolean().default(false).describe("Whether the data may be absent: then a restore re-creates its absence."),
    entry: plainName.default("neo4j_backup").describe("Name in the backup, without `.dump`, `.tar` or `.backup`."),
  })
  .superRefine(({ method, prove }, context) => {
    if (method !== "archive" && prove === "files")
      context.addIssue({ code: "custom", message: "only an archive can do without Neo4j's programs", path: ["prove"] });
  })
  .describe("A Neo4j database");

export type Neo4jOptions = z.output<typeof neo4jOptions>;
