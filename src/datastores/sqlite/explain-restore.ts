import type { ErrorCode } from "../../base/errors.ts";
import { prefixError } from "../../base/prefix-error.ts";
import { createAbortError } from "../../base/subprocess.ts";
import { classifySqliteError } from "../sqlite-files/classify-error.ts";

/** Of a restore every failure is one of its target. */
const targetCodes: Partial<Record<ErrorCode, ErrorCode>> = {
  "source-locked": "target-in-use",
  "source-unreadable": "target-unsafe",
  "source-corrupt": "restore-failed",
  "source-encrypted": "restore-failed",
  "source-empty": "restore-failed",
  "source-missing": "restore-failed",
};

/** Does a step of a restore: what fails is told as its failure, and a stop as a stop. */
export async function runExplained<T>(
  name: string,
  signal: AbortSignal,
  act: () => Promise<T>,
  codes: Partial<Record<ErrorCode, ErrorCode>> = {},
): Promise<T> {
  try {
    signal.throwIfAborted();
    return await act();
  } catch (error) {
    if (signal.aborted) throw createAbortError(signal, `The restore of "${name}" was stopped`);
    throw prefixError(`Cannot restore "${name}"`, classifySqliteError(error), { ...targetCodes, ...codes });
  }
}
