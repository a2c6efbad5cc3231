/**
 * Something worth knowing about a run that did not make it fail.
 * `info`: told in the manifest. `warning`: told to the operator as well. `partial`: something that was asked for is not in the backup,
 * or is there in a doubtful state; the run ends `partial`.
 */
export interface Note {
  readonly level: "info" | "warning" | "partial";
  /** A stable word, for example `file-changed`, `not-kept`, `wal-growth`. */
  readonly code: string;
  /** One sentence that names the place; raw bytes in names are escaped. */
  readonly message: string;
}
