/** Who has to act on an error: the person at the keyboard, the operator of the machine, or Holdfast's authors. */
export type Actor = "user" | "operator" | "author";

export interface ErrorPolicy {
  /** Exit status of the CLI (0 is success, 3 is "partial"; see docs/ERRORS.md). */
  readonly exit: number;
  /** HTTP status on the control socket. */
  readonly http: number;
  readonly actor: Actor;
  /** Whether the same operation may succeed when it is simply tried again later. */
  readonly retryable: boolean;
  /** What the code means, one line, for docs/ERRORS.md. */
  readonly meaning: string;
}

const policy = (exit: number, http: number, actor: Actor, meaning: string): ErrorPolicy => ({
  exit,
  http,
  actor,
  retryable: false,
  meaning,
});
const passing = (exit: number, http: number, actor: Actor, meaning: string): ErrorPolicy => ({
  exit,
  http,
  actor,
  retryable: true,
  meaning,
});

/**
 * The total table of error codes. docs/ERRORS.md lists it and a test keeps both equal.
 * Exit statuses: 1 failed, 2 usage or config, 4 not found, 5 busy or cancelled, 6 damaged, 7 refused, 8 no daemon, 70 bug.
 */
export const errorPolicies = {
  usage: policy(2, 400, "user", "the call itself is wrong: unknown verb, option or value"),
  "config-missing": policy(2, 500, "operator", "no config file where one was expected"),
  "config-invalid": policy(2, 422, "operator", "the config file has errors; each is named with file, line and column"),
  "unknown-name": policy(4, 404, "user", "no job, datastore, destination or run has this name"),
  "backup-not-found": policy(4, 404, "user", "no backup has this name or id"),
  "ambiguous-name": policy(2, 409, "user", "the name fits several backups; use the id"),
  "source-missing": policy(1, 500, "operator", "the data to back up is not there"),
  "source-empty": policy(1, 500, "operator", "the data to back up is there but empty"),
  "source-unreadable": policy(1, 500, "operator", "the data to back up cannot be read"),
  "source-unreachable": passing(1, 503, "operator", "the server that holds the data does not answer, or ended the connection"),
  "source-locked": passing(1, 503, "operator", "the application holds a lock on the data for too long"),
  "source-corrupt": policy(1, 500, "operator", "the data to back up is damaged at its source"),
  "source-encrypted": policy(1, 500, "operator", "the file is not a plain SQLite database: encrypted, or of another kind"),
  "source-changed": passing(1, 503, "operator", "the data changed under the backup in a way that makes the copy unusable"),
  "destination-missing": passing(1, 503, "operator", "the destination's directory is not there: not made yet, or not mounted"),
  "destination-unmarked": policy(1, 409, "operator", "the destination has no marker file: not initialised, or not mounted"),
  "destination-foreign": policy(1, 409, "operator", "the destination's marker is of another destination"),
  "destination-unwritable": policy(1, 500, "operator", "the destination cannot be written to"),
  "destination-failed": passing(1, 502, "operator", "the destination answered with an error"),
  "no-space": policy(1, 507, "operator", "there is not enough space, or there are no inodes left"),
  "disk-failed": passing(1, 500, "operator", "a disk of this machine could not be read or written while the run needed it"),
  "backup-damaged": policy(6, 409, "operator", "a stored backup does not match its manifest"),
  "backup-incomplete": policy(6, 409, "operator", "parts of a stored backup are missing"),
  "backup-unverified": policy(7, 409, "user", "the backup was not verified, or is partial or suspect, and needs an explicit word"),
  "manifest-invalid": policy(6, 422, "operator", "a manifest cannot be read: damaged, or not one of Holdfast's"),
  "format-unsupported": policy(6, 422, "operator", "the backup was written by a later version"),
  "tool-missing": policy(1, 500, "operator", "a program that this job needs is not installed"),
  "tool-failed": policy(1, 500, "operator", "a program that was run exited with an error"),
  "hook-failed": policy(1, 500, "operator", "a stop, start or check command failed"),
  "hold-exceeded": policy(
    1,
    504,
    "operator",
    "a service stood still for as long as it may while it was copied; it goes on, and the copy is not used",
  ),
  "check-failed": policy(1, 500, "operator", "the health check after a restore failed"),
  "restore-failed": policy(1, 500, "operator", "the restore failed; the data is as it was"),
  "restore-stuck": policy(1, 500, "operator", "the restore failed and its rollback needs a person; the message says where both copies are"),
  "nothing-to-undo": policy(4, 404, "user", "no restore is left that could be undone"),
  "target-in-use": passing(5, 409, "operator", "the data to replace is in use by another program"),
  "target-unsafe": policy(7, 409, "operator", "the place to restore to is not safe: a link, a mount point, not what was expected"),
  busy: passing(5, 409, "user", "another task or program holds the lock of this datastore"),
  conflict: policy(5, 409, "user", "the request does not fit the present state"),
  timeout: passing(1, 504, "operator", "a time limit ran out"),
  cancelled: policy(5, 409, "user", "the run was cancelled"),
  interrupted: passing(1, 503, "operator", "the daemon or the worker died while the run was going on"),
  "worker-died": passing(1, 500, "operator", "the worker process ended without a result"),
  "daemon-unreachable": policy(8, 503, "operator", "no daemon answers on the control socket"),
  "daemon-running": policy(5, 409, "operator", "another daemon already works with this state directory"),
  "state-corrupt": policy(
    1,
    500,
    "operator",
    "the daemon's own state is damaged; `holdfast rebuild --offline` makes a new one from the destinations",
  ),
  "state-unwritable": policy(1, 500, "operator", "the daemon's own directories cannot be used by the account that it runs as"),
  "state-newer": policy(1, 500, "operator", "the daemon's state was written by a later version"),
  refused: policy(7, 409, "user", "the operation would lose something and was refused; the message says what would allow it"),
  "not-confirmed": policy(7, 400, "user", "the operation needs a confirmation: a terminal to ask on, or --yes"),
  forbidden: policy(7, 403, "user", "this socket or secret does not allow the operation"),
  internal: policy(70, 500, "author", "a bug in Holdfast"),
} as const satisfies Record<string, ErrorPolicy>;

export type ErrorCode = keyof typeof errorPolicies;

export interface ErrorInit {
  /** What to do about it: one sentence, with the exact command where there is one. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** Overrides the code's policy. */
  readonly retryable?: boolean;
  /** Machine-readable facts; never secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** The error as it crosses a process or socket boundary. */
export interface ErrorReport {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly retryable: boolean;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Every expected failure. Message grammar: `Cannot dump "crm": pg_dump exited with 1`. Anything else thrown is a bug. */
export class HoldfastError extends Error {
  override readonly name = "HoldfastError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, message: string, init: ErrorInit = {}) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = code;
    this.hint = init.hint;
    this.retryable = init.retryable ?? errorPolicies[code].retryable;
    this.details = init.details;
  }

  get policy(): ErrorPolicy {
    return errorPolicies[this.code];
  }
}

/** The message of anything that was thrown. */
export function describeCause(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Turns anything that was thrown into a report; what is no HoldfastError is reported as the bug that it is. */
export function reportError(thrown: unknown): ErrorReport {
  const error =
    thrown instanceof HoldfastError ? thrown : new HoldfastError("internal", `Bug: ${describeCause(thrown)}`, { cause: thrown });
  return {
    code: error.code,
    message: error.message,
    retryable: error.retryable,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.details === undefined ? {} : { details: error.details }),
  };
}

/** The reverse of reportError. */
export function reviveError(report: ErrorReport): HoldfastError {
  const { code, message, ...init } = report;
  return new HoldfastError(code, message, init);
}

/** The errno name (`ENOENT`) of a Node system error, else undefined. */
export function readErrno(thrown: unknown): string | undefined {
  return thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;
}
