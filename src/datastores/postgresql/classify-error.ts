import { HoldfastError, describeCause, readErrno, type ErrorCode } from "../../base/errors.ts";
import { prefixError } from "../../base/prefix-error.ts";

/** How one kind of failure is known, by SQLSTATE or by what a tool says, and what to do about it. */
interface Rule {
  readonly states?: RegExp;
  readonly text?: RegExp;
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retryable?: boolean;
}

const permission =
  "Give the role what a backup needs: `GRANT pg_read_all_data TO role;` (and membership of the owner for row security and large objects).";

/** In this order: a connection that fails tells its reason first. */
const rules: readonly Rule[] = [
  {
    states: /^57P03$/,
    text: /the database system is (starting up|shutting down|in recovery|not (yet )?accepting)|cannot connect now/,
    code: "source-unreachable",
    hint: "The server is starting or stopping; it is waited for as long as waitFor says.",
  },
  {
    states: /^28/,
    text: /(password|SCRAM|peer|ident|certificate|LDAP|GSSAPI|RADIUS|PAM) authentication failed|Peer authentication failed|no password supplied|no pg_hba\.conf entry|role ".*" (does not exist|is not permitted to log in)|SASL|password must be a string/,
    code: "source-unreadable",
    hint: "Check user, password (or passfile, service, runAs), and the server's pg_hba.conf.",
    retryable: false,
  },
  {
    text: /SSL error|certificate|does not support SSL|SSL connection|root certificate|server refused TLS|private key file/i,
    code: "source-unreadable",
    hint: "Check `ssl`: its mode, rootCert (the authority that signed the server's certificate), and that host is the name in that certificate.",
    retryable: false,
  },
  {
    states: /^3D000$/,
    text: /database ".*" does not exist/s,
    code: "source-missing",
    hint: "Check `database`; where the database may be missing, say `optional: true`.",
  },
  {
    text: /is not currently accepting connections/,
    code: "source-unreadable",
    hint: "The database is closed, by a restore for a moment or by somebody: `ALTER DATABASE … ALLOW_CONNECTIONS true`.",
    retryable: true,
  },
  {
    states: /^53300$/,
    text: /too many (clients|connections)|remaining connection slots/,
    code: "source-unreachable",
    hint: "The server has no connection left: raise max_connections, or run the backup when fewer clients are connected.",
  },
  {
    text: /conflict with recovery/,
    code: "source-changed",
    hint: "A standby cancels what is in the way of replaying changes: dump from the primary, or set hot_standby_feedback, or raise max_standby_streaming_delay.",
    retryable: true,
  },
  {
    states: /^(57P01|57P02|57P05|08\d\d\d|25P0[34])$/,
    text: /terminating connection|server closed the connection|connection to server was lost|Connection terminated|SSL SYSCALL|no connection to the server|connection not open|EOF detected/,
    code: "source-unreachable",
    hint: "The server was stopped or restarted, or somebody ended the connection; run it again when the server is up.",
  },
  {
    text: /service ".*" is not running|No such container|[Cc]ontainer \S+ is (not running|paused)|Cannot connect to the Docker daemon|error during connect/,
    code: "source-unreachable",
    hint: "Does the Docker engine run, does the container, and is its name right?",
  },
  {
    text: /Connection refused|No such file or directory|could not translate host name|Network is unreachable|No route to host|timeout expired|Connection timed out|Connection reset|ECONNREFUSED|ENOENT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|ECONNRESET|EPIPE|timeout exceeded/,
    code: "source-unreachable",
    hint: "Is the server running, and are host and port right?",
  },
  {
    // pg_dump waits for locks under a statement timeout.
    states: /^55P03$/,
    text: /lock timeout|could not obtain lock|statement timeout[^]*LOCK TABLE/,
    code: "source-locked",
    hint: "Another session holds a lock (a migration, ALTER TABLE, VACUUM FULL …): run it again later, or raise lockTimeout.",
  },
  {
    text: /unsupported startup parameter|prepared statement .* (does not exist|already exists)|no such database: |pgbouncer|server login has been failing/i,
    code: "source-unreadable",
    hint: "A connection pooler answers there: dump from the server itself (its own port, usually 5432), or from a pool in session mode.",
  },
  {
    states: /^57014$/,
    text: /canceling statement due to (statement timeout|user request)/,
    code: "tool-failed",
    hint: "Somebody cancelled the query, or the role has a time limit: `ALTER ROLE role SET statement_timeout = 0;`.",
    retryable: true,
  },
  {
    states: /^42501$/,
    text: /permission denied|must be (superuser|owner|member)|row-level security|row security/,
    code: "source-unreadable",
    hint: permission,
  },
  {
    states: /^(42P01|42883|XX000)$/,
    text: /relation .* does not exist|could not open relation|cache lookup failed/,
    code: "source-changed",
    hint: "The schema changed while it was read; run it again.",
  },
  {
    states: /^53100$/,
    text: /No space left on device|disk full/i,
    code: "no-space",
    hint: "Free space where the dump is staged, or on the server.",
  },
  {
    text: /server version mismatch/,
    code: "tool-missing",
    hint: "Install the client programs of the server's major version.",
  },
  {
    text: /newline or carriage return/,
    code: "source-unreadable",
    hint: "pg_dumpall refuses names with line breaks: rename it, leave it out (excludeDatabases), or use `databases: all`.",
  },
];

/**
 * Turns what a driver throws, or a tool says, into an expected failure whose message is the reason alone. What is one already, and is not a
 * failed tool, is given back as it is.
 */
export function classifyError(thrown: unknown): unknown {
  if (thrown instanceof HoldfastError && thrown.code !== "tool-failed") return thrown;
  const state = thrown instanceof HoldfastError ? undefined : readErrno(thrown);
  const stderr: unknown = thrown instanceof HoldfastError ? thrown.details?.["stderr"] : undefined;
  const message = describeFailure(thrown);
  const error = createClassified(state, `${message}\n${typeof stderr === "string" ? stderr : ""}\n${state ?? ""}`, message, thrown);
  if (error !== undefined) return error;
  // What the server itself says of a statement is no bug of ours.
  const isServers = thrown instanceof Error && "severity" in thrown;
  return isServers ? new HoldfastError("tool-failed", message, { cause: thrown }) : thrown;
}

/** The failure that a rule knows: by its SQLSTATE where there is one, else by its text. */
export function createClassified(state: string | undefined, text: string, message: string, cause?: unknown): HoldfastError | undefined {
  const rule =
    rules.find(({ states }) => state !== undefined && states?.test(state) === true) ?? rules.find((each) => each.text?.test(text));
  if (rule === undefined) return undefined;
  const retryable = rule.retryable === undefined ? {} : { retryable: rule.retryable };
  return new HoldfastError(rule.code, message, {
    hint: rule.hint,
    cause,
    ...retryable,
    ...(state === undefined ? {} : { details: { state } }),
  });
}

/** node joins the failures of several addresses into an error without a message. */
function describeFailure(thrown: unknown): string {
  if (thrown instanceof AggregateError) return thrown.errors.map(describeCause).join("; ");
  return describeCause(thrown);
}

/** The same failure, told as that of the operation that it ended: `Cannot dump "crm": …`. */
export function explainFailure(what: string, thrown: unknown, codes: Partial<Record<ErrorCode, ErrorCode>> = {}): unknown {
  return prefixError(what, classifyError(thrown), codes);
}
