import type { ManifestMember } from "../archive/manifest.ts";
import type { CountDifference } from "../base/describe-contents.ts";
import type { Note } from "../base/note.ts";

export interface PlannedDatastore {
  readonly datastore: string;
  readonly kind: string;
  /** Where it goes when that is not where it came from: a datastore of the config, or `database:NAME`. */
  readonly to: string | null;
  /** In the backup. */
  readonly status: ManifestMember["status"];
  readonly plainBytes: number;
  readonly entries: number;
  /** Where it lives by the config. */
  readonly places: readonly string[];
  /** What is there now; null when that cannot be told, see `problem`. */
  readonly now: {
    readonly summary: string;
    readonly present: boolean;
    readonly bytes: number;
    /** The newest change that was seen; null where it is not known. */
    readonly newestChangeAt: string | null;
    /** What else is known of when it changed. */
    readonly changes: string | null;
    /** `3 tables, 1,204 rows`; null where it was not counted. */
    readonly contents: string | null;
  } | null;
  /** What will be there; null where nothing is counted. */
  readonly contents: string | null;
  /** Where both sides are counted. */
  readonly differences: readonly CountDifference[];
  readonly method: string | null;
  readonly neededBytes: number | null;
  /** Process ids that have it open. */
  readonly users: readonly number[];
  readonly notes: readonly Note[];
  readonly problem: string | null;
}
