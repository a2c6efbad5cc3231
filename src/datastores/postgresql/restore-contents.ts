import type { Contents } from "../../base/contents.ts";
import { createContents, type DatabaseContents } from "./dump-contents.ts";

export interface CountedDatabase {
  readonly database: string | undefined;
  readonly contents: Pick<DatabaseContents, "rows" | "largeObjects">;
}

/**
 * What was counted, in the words of a manifest. Definitions are not compared by their digest: a server writes some expressions in other
 * words once they have been loaded (`varchar IN (…)`), and pg_dump's words differ by version. All of them were loaded, or the load failed.
 */
export function createCountedContents(
  counted: readonly CountedDatabase[],
  naming: "plain" | "by-database",
  expected: Contents | undefined,
): Contents {
  const none = { schema: "", extensions: [], roles: [], serverVersion: "", dumpVersion: "" };
  const databases = counted.map(({ database, contents }) => ({ ...none, ...contents, database }));
  return { counts: createContents(databases, naming).counts, digests: expected?.digests ?? {}, facts: {} };
}
