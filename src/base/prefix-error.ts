import { HoldfastError, type ErrorCode, type ErrorInit } from "./errors.ts";

/** The same failure, told as that of the operation that it ended: `Cannot dump "crm": database is locked`. */
export function prefixError(what: string, thrown: unknown, codes: Partial<Record<ErrorCode, ErrorCode>> = {}): unknown {
  if (!(thrown instanceof HoldfastError)) return thrown;
  const code = codes[thrown.code] ?? thrown.code;
  const init: ErrorInit = {
    cause: thrown,
    ...(code === thrown.code ? { retryable: thrown.retryable } : {}),
    ...(thrown.hint === undefined ? {} : { hint: thrown.hint }),
    ...(thrown.details === undefined ? {} : { details: thrown.details }),
  };
  return new HoldfastError(code, `${what}: ${thrown.message}`, init);
}
