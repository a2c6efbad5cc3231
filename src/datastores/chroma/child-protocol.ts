import type { Note } from "../../base/note.ts";
import type { CopyRequest } from "../sqlite-files/snapshot.ts";
import type { Examination } from "./catalog.ts";

/** Copies the live database. */
export interface DatabaseCopyRequest extends CopyRequest {
  readonly op: "copy";
}

/** Reads how far the indexes of the live database have been flushed. */
export interface PositionsRequest {
  readonly op: "positions";
  readonly path: string;
  readonly busyTimeoutMs: number;
}

/** Reads a copy that nobody else has open. */
export interface ExamineRequest {
  readonly op: "examine";
  readonly path: string;
  readonly samples: number;
}

export type ChildOperation = DatabaseCopyRequest | PositionsRequest | ExamineRequest;

export interface ChildResults {
  readonly copy: readonly Note[];
  /** By segment. */
  readonly positions: Readonly<Record<string, number>>;
  readonly examine: Examination;
}
