import type { SwapStep } from "../contract.ts";
import { HoldfastError } from "../../base/errors.ts";

/** A staging copy was, or was about to be, made. */
export type StageStep = { readonly op: "stage"; readonly path: string };
/** A file was, or was about to be, renamed. `birth` and `ino` tell which of the two names it has now. */
export type MoveStep = { readonly op: "move"; readonly from: string; readonly to: string; readonly birth: string; readonly ino: number };
/** The staged copy was put in place; there was nothing of that name. */
export type PlaceStep = { readonly op: "place"; readonly from: string; readonly to: string; readonly birth: string; readonly ino: number };
/** A copy of the live database was made at `aside`. */
export type CopyAsideStep = { readonly op: "copy-aside"; readonly path: string; readonly aside: string };
/** The live database was, or was about to be, overwritten; `cookie` is its schema cookie before that. The user is the one who opens it. */
export type OverwriteStep = {
  readonly op: "overwrite";
  readonly path: string;
  readonly aside: string;
  readonly cookie: number;
  /** What it was overwritten with; there until that has been noted. Older versions do not say it. */
  readonly staged?: string;
  readonly uid: number | null;
  readonly gid: number | null;
  readonly user: string | null;
};

/** The overwrite has been committed. */
export type OverwrittenStep = { readonly op: "overwritten"; readonly path: string; readonly aside: string };

/** Tables of the live database were replaced, in one transaction; the former ones are in the database `aside`. */
export type ReplaceTablesStep = {
  readonly op: "replace-tables";
  readonly path: string;
  readonly aside: string;
  /** A JSON list of names. */
  readonly tables: string;
  readonly uid: number | null;
  readonly gid: number | null;
  readonly user: string | null;
};

export type SqliteStep = StageStep | MoveStep | PlaceStep | CopyAsideStep | OverwriteStep | OverwrittenStep | ReplaceTablesStep;

const fields: Readonly<Record<SqliteStep["op"], readonly string[]>> = {
  stage: ["path"],
  move: ["from", "to", "birth", "ino"],
  place: ["from", "to", "birth", "ino"],
  "copy-aside": ["path", "aside"],
  overwrite: ["path", "aside", "cookie"],
  overwritten: ["path", "aside"],
  "replace-tables": ["path", "aside", "tables"],
};

/** Throws `state-newer` for a step that this version does not know. */
export function parseStep(step: SwapStep): SqliteStep {
  const op = String(step["op"]);
  const known = Object.hasOwn(fields, op) ? fields[op as SqliteStep["op"]] : undefined;
  if (known === undefined || known.some((field) => step[field] === undefined || step[field] === null)) {
    throw new HoldfastError("state-newer", `Cannot read a recorded step of a restore: ${JSON.stringify(step)}`);
  }
  return step as SqliteStep;
}
