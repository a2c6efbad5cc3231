import { resolveIdentity } from "../../base/identity.ts";
import { prefixError } from "../../base/prefix-error.ts";
import type { DriverContext } from "../contract.ts";
import type { SqliteOptions } from "./options.ts";
import { runChild } from "./run-child.ts";
import { createMissingError, readSourceFile } from "../sqlite-files/source-file.ts";

/** Reads one value from the live database, as its owner and in a process of its own; aborting ends that process. */
export async function queryDatabase(
  options: SqliteOptions,
  context: DriverContext,
  sql: string,
  signal: AbortSignal,
): Promise<string | null> {
  try {
    const source = await readSourceFile(options.path);
    if (source === undefined) throw createMissingError(options.path);
    const identity = await resolveIdentity(options.runAs, source.attributes, signal);
    const { busyTimeoutMs } = options;
    return await runChild({ op: "query", path: source.realPath, sql, busyTimeoutMs }, { identity }, signal);
  } catch (error) {
    throw prefixError(`Cannot query "${context.name}"`, error);
  }
}
