import type { Cell } from "./catalog-file.ts";

/** A condition with one `?`, and its value; undefined leaves the condition out. A list is for `IN (SELECT value FROM json_each(?))`. */
export type Condition = readonly [sql: string, value: Cell | readonly string[] | undefined];

/** Made by this machine, or by nobody known; its value may be undefined. */
export const madeBy = "record ->> 'host' IS NULL OR record ->> 'host' = ?";

/** A WHERE clause of the conditions that have a value; empty when none has. */
export function createWhere(conditions: readonly Condition[]): { readonly where: string; readonly values: readonly Cell[] } {
  const wanted = conditions.flatMap(([sql, value]) => {
    if (value === undefined) return [];
    return [{ sql, value: typeof value === "object" && value !== null ? JSON.stringify(value) : value }];
  });
  return {
    where: wanted.length === 0 ? "" : `WHERE ${wanted.map(({ sql }) => `(${sql})`).join(" AND ")}`,
    values: wanted.map(({ value }) => value),
  };
}
