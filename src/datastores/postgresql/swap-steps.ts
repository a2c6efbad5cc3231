import { HoldfastError } from "../../base/errors.ts";
import type { SwapStep } from "../contract.ts";

/** A staging database was, or was about to be, made. Its name is of one restore only. */
export type CreateStep = { readonly op: "create"; readonly database: string };
/** A database was closed to new connections, or was about to be. `oid` tells which of the names it has now. */
export type BlockStep = { readonly op: "block"; readonly database: string; readonly oid: string };
/**
 * In one transaction `database` was renamed to `aside` and `staged` to `database`, or was about to be. Either half may be missing: `oid`
 * is null when there was no such database, `stagedOid` when only its absence is restored.
 */
export type SwapDatabaseStep = {
  readonly op: "swap";
  readonly database: string;
  readonly aside: string;
  readonly oid: string | null;
  readonly staged: string | null;
  readonly stagedOid: string | null;
};
/** Rows of tables were replaced in one transaction, or were about to be; what is needed to undo it lies in `schema` of the database. */
export type TablesStep = { readonly op: "tables"; readonly database: string; readonly schema: string };

export type PostgresqlStep = CreateStep | BlockStep | SwapDatabaseStep | TablesStep;

const fields: Readonly<Record<PostgresqlStep["op"], readonly string[]>> = {
  create: ["database"],
  block: ["database", "oid"],
  swap: ["database", "aside"],
  tables: ["database", "schema"],
};

/** Throws `state-newer` for a step that this version does not know. */
export function parseStep(step: SwapStep): PostgresqlStep {
  const op = String(step["op"]);
  const known = Object.hasOwn(fields, op) ? fields[op as PostgresqlStep["op"]] : undefined;
  if (known === undefined || known.some((field) => typeof step[field] !== "string")) {
    throw new HoldfastError("state-newer", `Cannot read a recorded step of a restore: ${JSON.stringify(step)}`);
  }
  return step as PostgresqlStep;
}
