import { isAbsolute } from "node:path";
import { z } from "zod";
import { durationField, secretField } from "../../base/fields.ts";
import { viaField } from "../via.ts";

const absolutePath = z.string().refine((path) => isAbsolute(path) && !path.includes("\0"), "must be an absolute path");
const word = z.string().regex(/^[^\s\0]+$/, "must not be empty, and without white space");
const port = z.number().int().min(1).max(65_535);

const tlsOptions = z
  .strictObject({
    ca: absolutePath.optional().describe("PEM file of the authority that has signed the server's certificate; default: the system's."),
    cert: absolutePath.optional().describe("PEM file of our own certificate."),
    key: absolutePath.optional().describe("PEM file of its key."),
    serverName: word.optional().describe("Name in the server's certificate, where it is not the host."),
  })
  .describe("Connects by TLS.");

const connectionFields = {
  url: secretField.optional().describe("`redis://[user:password@]host[:port]`, `rediss://…` for TLS, `unix:///path/of/socket`."),
  host: word.optional().describe("Host of the server; default: localhost."),
  port: port.optional().describe("Its port; default: 6379."),
  socket: absolutePath.optional().describe("Unix socket of the server, in place of host and port."),
  user: word.optional().describe("ACL user; default: the server's default user."),
  password: secretField.optional().describe("Its password."),
  tls: z
    .union([z.literal(true).transform((): z.output<typeof tlsOptions> => ({})), tlsOptions])
    .optional()
    .describe("`true`, or files and names: connects by TLS."),
};

export type ConnectionOptions = z.output<z.ZodObject<typeof connectionFields>>;

function refuseContradictions(
  options: ConnectionOptions,
  context: { readonly addIssue: (issue: { code: "custom"; message: string; path: string[] }) => void },
): void {
  const refuse = (key: string, message: string): void => context.addIssue({ code: "custom", message, path: [key] });
  if (options.url !== undefined && (options.host ?? options.port ?? options.socket) !== undefined)
    refuse("url", "cannot stand beside host, port or socket");
  if (options.socket !== undefined && (options.host ?? options.port) !== undefined) refuse("socket", "cannot stand beside host or port");
  if (options.socket !== undefined && options.tls !== undefined) refuse("tls", "a Unix socket has no TLS");
  if (options.tls !== undefined && (options.tls.cert === undefined) !== (options.tls.key === undefined))
    refuse("tls", "cert and key go together");
}

const entryName = z
  .string()
  .regex(/^[^/\0]+$/, "must be a plain file name")
  .refine((name) => name !== "." && name !== "..", "must be a plain file name");

export const redisOptions = z
  .strictObject({
    ...connectionFields,
    via: viaField.optional(),
    optional: z.boolean().default(false).describe("Whether the server may be away, or hold nothing: then a restore empties it."),
    method: z
      .enum(["auto", "replication", "bgsave"])
      .default("auto")
      .describe(
        "`replication`: the RDB comes over the connection, from anywhere; `bgsave`: the server saves, and its file is read here. `auto`: bgsave where the file can be read here.",
      ),
    rdbPath: absolutePath
      .optional()
      .describe(
        "The server's RDB file as this machine sees it (a container's volume); default: what the server says. A restore into a stopped server needs it.",
      ),
    aofDir: absolutePath
      .optional()
      .describe(
        "Directory of its append-only files as this machine sees it; default: `appendonlydir` beside the RDB file, where there is one.",
      ),
    entry: entryName.default("redis_backup.rdb").describe("Name of the file in the backup."),
    waitFor: durationField("How long a server is waited for that does not answer yet, or is loading; default 10s.", {
      maxMs: 3_600_000,
    }).default(10_000),
    saveTimeout: durationField("How long a background save may take, and one that was going on before it; default 30m.", {
      minMs: 1,
    }).default(30 * 60_000),
    syncTimeout: durationField("How long the target of a restore may take to load the data; default 30m.", { minMs: 1 }).default(
      30 * 60_000,
    ),
    restoreConnection: z
      .strictObject(connectionFields)
      .superRefine(refuseContradictions)
      .optional()
      .describe("Another connection for restores: a user who may run CONFIG and REPLICAOF."),
    announce: word
      .optional()
      .describe("Address of this machine by which the server can reach it during a restore; default: the one that our connection has."),
    announcePort: port.optional().describe("Port for that; default: a free one."),
    asideDir: absolutePath
      .optional()
      .describe("Where the present data of a server on another machine is kept during a restore; default: the state directory."),
  })
  .superRefine(refuseContradictions)
  .describe("A Redis or Valkey server");

export type RedisOptions = z.output<typeof redisOptions>;
