import { describeCause, HoldfastError } from "../../base/errors.ts";
import { explainRestore } from "./restore-explain.ts";
import { readState } from "./restore-sql.ts";

const hints: readonly (readonly [RegExp, string])[] = [
  [/^42501$/, "Restore as the owner of the tables, who may also create a schema, or as a superuser: `restoreConnection: {user: …}`."],
  [/^23503$/, "Rows of a table that was not restored need rows that the export does not have: restore that table too, or all of them."],
  [/^(22|23|42)/, "The table is no longer as it was: bring it back to that state with the application's migrations, then restore."],
];

/** The failure of a restore from a SQLite export, with the remedy; nothing has been changed by then. */
export function explainImport(name: string, error: unknown): unknown {
  const state = readState(error);
  const hint = state === undefined ? undefined : hints.find(([pattern]) => pattern.test(state))?.[1];
  if (hint === undefined || !(error instanceof Error)) return explainRestore(name, error);
  return explainRestore(name, new HoldfastError("restore-failed", describeCause(error), { hint, cause: error }));
}
