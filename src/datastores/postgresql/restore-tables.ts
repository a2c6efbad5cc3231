import { HoldfastError } from "../../base/errors.ts";
import type { DriverContext, RestoreOptions, RestoreSession } from "../contract.ts";
import type { PostgresqlOptions } from "./options.ts";

export class TablesRestore {
  static open(
    _o: PostgresqlOptions,
    _parts: readonly string[],
    _r: RestoreOptions,
    _c: DriverContext,
    _s: AbortSignal,
  ): Promise<RestoreSession> {
    return Promise.reject(new HoldfastError("usage", "single tables cannot be restored yet"));
  }
}
