import { describeCause, HoldfastError, type ErrorCode } from "../../base/errors.ts";
import { createAbortError } from "../../base/subprocess.ts";
import { classifyError, explainFailure } from "./classify-error.ts";

interface Rule {
  readonly text: RegExp;
  readonly code: ErrorCode;
  readonly hint: string;
}

const rights: Rule = {
  text: /permission denied|must be (superuser|owner|able to)|must have/,
  code: "restore-failed",
  hint: "Restore as a role that may make what the dump holds: `restoreConnection: {user: …}`, a superuser or the owner of everything in it.",
};

/** What goes wrong while a dump is loaded, and what helps. */
const rules: readonly Rule[] = [
  {
    text: /No space left on device|could not extend file|disk full/i,
    code: "no-space",
    hint: "Free space on the server's disk, then restore again.",
  },
  {
    text: /role "?.*"? does not exist/,
    code: "restore-failed",
    hint: "Create the role on the server (CREATE ROLE …), or back up with `globals` so that missing roles are added, then restore again.",
  },
  {
    text: /extension ".*" is not available|could not open extension control file|could not access file/,
    code: "restore-failed",
    hint: "Install the package of the extension on the server, then restore again.",
  },
  {
    text: /tablespace "?.*"? does not exist/,
    code: "restore-failed",
    hint: "Create the tablespace on the server (CREATE TABLESPACE … LOCATION …), then restore again.",
  },
  {
    text: /unsupported version \(|input file appears to be .*newer/,
    code: "tool-missing",
    hint: "The dump was made by newer tools: install the client programs of that version, or set binDir to where they are.",
  },
  {
    text: /unrecognized configuration parameter/,
    code: "restore-failed",
    hint: "The dump is of a newer PostgreSQL than the server: restore it to a server of the same version or a newer one.",
  },
  rights,
  {
    text: /backslash commands are restricted|invalid command/,
    code: "restore-failed",
    hint: "The dump holds a command for psql itself, which pg_dump writes nowhere: do not trust it.",
  },
];

/** The failure of a tool that was loading, with the remedy. */
export function explainLoad(error: unknown): unknown {
  if (!(error instanceof HoldfastError) || error.code !== "tool-failed") return error;
  const stderr = error.details?.["stderr"];
  const text = `${describeCause(error)}\n${typeof stderr === "string" ? stderr : ""}`;
  const rule = rules.find((each) => each.text.test(text));
  const first = typeof stderr === "string" ? stderr.split("\n").find((line) => /\berror:|ERROR:|FATAL:/.test(line)) : undefined;
  const told = first === undefined || error.message.includes(first) ? error.message : `${error.message.split(":")[0] ?? ""}: ${first}`;
  const init = { cause: error, ...(error.details === undefined ? {} : { details: error.details }) };
  if (rule !== undefined) return new HoldfastError(rule.code, told, { ...init, hint: rule.hint });
  const classified = classifyError(error);
  if (classified instanceof HoldfastError && classified.code === "source-unreachable") return classified;
  return new HoldfastError("restore-failed", told, init);
}

/** Of a restore every failure is one of its target. */
const targetCodes: Partial<Record<ErrorCode, ErrorCode>> = {
  "source-locked": "target-in-use",
  "source-unreadable": "target-unsafe",
  "source-missing": "restore-failed",
  "source-changed": "restore-failed",
  "source-corrupt": "restore-failed",
  "tool-failed": "restore-failed",
};

export function explainRestore(name: string, thrown: unknown): unknown {
  const error = classifyError(thrown);
  // What a role lacks for a backup is not what it lacks for a restore.
  if (error instanceof HoldfastError && error.code === "source-unreadable" && rights.text.test(error.message))
    return explainFailure(
      `Cannot restore "${name}"`,
      new HoldfastError("target-unsafe", error.message, { cause: thrown, hint: rights.hint }),
    );
  return explainFailure(`Cannot restore "${name}"`, error, targetCodes);
}

/** Does a step of a restore, or of a drill: what fails is told as its failure, and a stop as a stop. */
export async function runExplained<T>(what: "restore" | "drill", name: string, act: () => Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    signal.throwIfAborted();
    return await act();
  } catch (error) {
    if (signal.aborted) throw createAbortError(signal, `The ${what} of "${name}" was stopped`);
    throw explainRestore(name, error);
  }
}
