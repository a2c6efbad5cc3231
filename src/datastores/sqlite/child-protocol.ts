import type { Contents } from "../../base/contents.ts";
import type { Note } from "../../base/note.ts";
import type { CopyRequest } from "../sqlite-files/snapshot.ts";

/** How thoroughly a copy is examined. */
export interface ExamineSettings {
  readonly integrity: "full" | "quick";
  /** Tables for the statistics. */
  readonly countRows: "all" | readonly string[];
}

/** Opens the live database, reads it, and closes it. */
export interface ProbeRequest {
  readonly op: "probe";
  readonly path: string;
  readonly busyTimeoutMs: number;
}

/** Counts the rows of each table of the live database, and writes nothing. */
export interface CountRequest {
  readonly op: "count";
  readonly path: string;
  readonly busyTimeoutMs: number;
}

/** Copies the live database to `copy`, which must not exist, and examines the copy. */
export interface SnapshotRequest extends ExamineSettings, CopyRequest {
  readonly op: "snapshot";
}

/** Examines a file that nobody else has open. `header`: leaves its journal mode, or makes it a self-contained file. */
export interface ExamineRequest extends ExamineSettings {
  readonly op: "examine";
  readonly path: string;
  readonly header: "keep" | "self-contained";
}

/** Makes a self-contained file a WAL database, as the one it replaces. */
export interface ConvertRequest {
  readonly op: "convert-to-wal";
  readonly path: string;
}

/** Reads the schema cookie, which a later overwrite raises by one. */
export interface CookieRequest {
  readonly op: "read-cookie";
  readonly path: string;
  readonly busyTimeoutMs: number;
}

/** Replaces the content of the live database at `path` by that of `copy`, in one transaction. */
export interface OverwriteRequest {
  readonly op: "overwrite";
  readonly path: string;
  readonly copy: string;
  readonly busyTimeoutMs: number;
}

/** Reads the first column of the first row of one statement, which may change nothing. */
export interface QueryRequest {
  readonly op: "query";
  readonly path: string;
  readonly sql: string;
  readonly busyTimeoutMs: number;
}

/** Looks which of the tables a database has. */
export interface ReadTablesRequest {
  readonly op: "read-tables";
  readonly path: string;
  readonly tables: readonly string[];
  readonly busyTimeoutMs: number;
  readonly rows: "count" | "skip";
}

/** Replaces tables of the live database at `path` by those of `source`, in one transaction; the former ones go to `aside`. */
export interface ReplaceTablesRequest {
  readonly op: "replace-tables";
  readonly path: string;
  readonly source: string;
  /** Must not exist. */
  readonly aside: string;
  readonly tables: readonly string[];
  readonly busyTimeoutMs: number;
}

/** Undoes that, where it was done. */
export interface ReturnTablesRequest {
  readonly op: "return-tables";
  readonly path: string;
  readonly aside: string;
  readonly tables: readonly string[];
  readonly busyTimeoutMs: number;
}

export type ChildOperation =
  | ProbeRequest
  | CountRequest
  | SnapshotRequest
  | ExamineRequest
  | ConvertRequest
  | CookieRequest
  | OverwriteRequest
  | QueryRequest
  | ReadTablesRequest
  | ReplaceTablesRequest
  | ReturnTablesRequest;

export interface ProbeResult {
  readonly tables: number;
  readonly journalMode: string;
}

/** What the way of a copy was. */
export interface SnapshotResult {
  readonly contents: Contents;
  readonly notes: readonly Note[];
}

export interface TablesFound {
  readonly missing: readonly string[];
  /** By the name that the table has; 0 where they were not to be counted. */
  readonly rows: Readonly<Record<string, number>>;
  /** What else in the database relies on the tables. */
  readonly relations: readonly string[];
}

export interface ReplaceTablesResult {
  readonly rows: Readonly<Record<string, number>>;
}

export interface ChildResults {
  readonly probe: ProbeResult;
  readonly count: Readonly<Record<string, number>>;
  readonly snapshot: SnapshotResult;
  readonly examine: SnapshotResult;
  readonly "convert-to-wal": null;
  readonly "read-cookie": number;
  readonly overwrite: null;
  readonly query: string | null;
  readonly "read-tables": TablesFound;
  readonly "replace-tables": ReplaceTablesResult;
  readonly "return-tables": "returned" | "never-replaced";
}
