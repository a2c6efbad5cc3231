import { describeCause, HoldfastError, readErrno, type ErrorCode } from "../../base/errors.ts";
import { isReplyError } from "./reply-error.ts";

/** What a server, or the way to it, says when it does not do what it was asked. The first that fits counts. */
const rules: readonly { readonly pattern: RegExp; readonly code: ErrorCode; readonly hint: string; readonly retryable?: boolean }[] = [
  {
    pattern:
      /^(connect )?(ECONNREFUSED|ENOENT)|Could not connect to .*(Connection refused|No such file)|service .* is not running|No such container|is not running$/i,
    code: "source-missing",
    hint: "Start the server, or correct its address; `optional: true` allows it to be away.",
    retryable: true,
  },
  {
    pattern: /Cannot connect to the Docker daemon|error during connect|[Cc]ontainer \S+ is paused/,
    code: "source-unreachable",
    hint: "Does the Docker engine run, and is the container not paused?",
  },
  { pattern: /^LOADING/, code: "source-locked", hint: "The server is still loading its data; raise waitFor, or try again later." },
  { pattern: /^MASTERDOWN/, code: "source-locked", hint: "The server is a replica without a link to its master; back the master up." },
  {
    pattern: /WRONGPASS|NOAUTH|invalid password|Authentication required|Client sent AUTH/i,
    code: "source-unreadable",
    hint: "Check user and password of the datastore.",
  },
  {
    pattern: /^NOPERM|no permissions to run/,
    code: "source-unreadable",
    hint: "Give its ACL user what it needs: for backups `+info +time +config|get +psync +replconf +sync +bgsave +ping`, for restores also `+config|set +replicaof +client +module|list`.",
  },
  {
    pattern: /^ERR unknown command/i,
    code: "source-unreadable",
    hint: "The server's config renames or removes this command, which Holdfast needs.",
  },
  {
    pattern: /certificate|self.signed|altname|SSL|TLS|wrong version number/i,
    code: "source-unreadable",
    hint: "Check the datastore's tls options: ca, cert, key, serverName, and whether the server's port speaks TLS at all.",
  },
  {
    pattern: /ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|Name or service not known|Temporary failure in name resolution/,
    code: "source-unreadable",
    hint: "Check the host's name and the network.",
    retryable: true,
  },
  {
    pattern: /ECONNRESET|EPIPE|Connection is closed|Server closed the connection|Connection reset|I\/O Error/i,
    code: "source-unreadable",
    hint: "The server ended the connection: it was stopped, restarted, or does not take more clients; its log says which.",
    retryable: true,
  },
  {
    pattern: /EACCES|EPERM|Permission denied/,
    code: "source-unreadable",
    hint: "The socket must be open to the account that Holdfast runs as.",
  },
];

/** Turns what a server or a client says into an expected failure; anything else is given back as it is. */
export function explainRedisError(thrown: unknown, where: string): unknown {
  if (thrown instanceof HoldfastError && thrown.code !== "tool-failed") return thrown;
  const errno = readErrno(thrown);
  if (errno === "ENOSPC" || errno === "EDQUOT") return new HoldfastError("no-space", describeCause(thrown), { cause: thrown });
  const said = describeCause(thrown);
  const rule = rules.find(({ pattern }) => pattern.test(said) || (errno !== undefined && pattern.test(errno)));
  if (rule === undefined) return isReplyError(thrown) ? explainRefusal(said, thrown, where) : thrown;
  return new HoldfastError(
    rule.code,
    `the server at ${where} ${rule.code === "source-missing" ? "does not answer" : "does not let us in or go on"}: ${said}`,
    {
      cause: thrown,
      hint: rule.hint,
      ...(rule.retryable === undefined ? {} : { retryable: rule.retryable }),
    },
  );
}

/** What a server answers is no bug of ours, whatever it is. */
function explainRefusal(said: string, cause: unknown, where: string): HoldfastError {
  return new HoldfastError("source-unreadable", `the server at ${where} refuses: ${said}`, {
    cause,
    hint: "Its log may say more; `redis-cli INFO` tells how it is.",
    details: { refusal: said },
  });
}

/** What a server said that no rule knows; whoever knows what it was asked for can say more. Undefined for anything else. */
export function readRefusal(error: unknown): string | undefined {
  if (isReplyError(error)) return describeCause(error);
  const refusal = error instanceof HoldfastError ? error.details?.["refusal"] : undefined;
  return typeof refusal === "string" ? refusal : undefined;
}

/** What is wrong with a source is, in the place to be restored to, wrong with the target. */
export const targetCodes: Partial<Record<ErrorCode, ErrorCode>> = {
  "source-locked": "target-in-use",
  "source-unreadable": "target-unsafe",
  "source-missing": "restore-failed",
  "source-changed": "restore-failed",
};
