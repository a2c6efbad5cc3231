import { HoldfastError, describeCause, readErrno, type ErrorCode } from "../../base/errors.ts";

const rules: readonly (readonly [RegExp, ErrorCode, string])[] = [
  [
    /^SQLITE_(BUSY|LOCKED)/,
    "source-locked",
    "Another program holds a lock on the database; try again when it is done, or raise busyTimeoutMs.",
  ],
  [/^SQLITE_CORRUPT/, "source-corrupt", "Run `PRAGMA integrity_check`; `sqlite3 FILE .recover` may save what is left."],
  [
    /^SQLITE_NOTADB/,
    "source-encrypted",
    "Is the file encrypted (SQLCipher), or of another kind? Back it up with a files datastore, with its application stopped.",
  ],
  [/^SQLITE_(FULL|IOERR_WRITE)/, "no-space", "Free space where the copy is staged."],
  [
    /^SQLITE_(CANTOPEN|PERM|READONLY|AUTH|IOERR)/,
    "source-unreadable",
    "The user who opens the database (its owner, or runAs) must be able to read it, and to write to its directory when the database is in WAL mode or was left by a crash; so must the service's sandbox (`ReadWritePaths=`, see `holdfast check`).",
  ],
];

/** Turns what SQLite throws into an expected failure whose message is the reason alone; anything else is given back as it is. */
export function classifySqliteError(thrown: unknown): unknown {
  if (thrown instanceof HoldfastError) return thrown;
  const code = readErrno(thrown) ?? "";
  for (const [pattern, errorCode, hint] of rules) {
    if (pattern.test(code)) return new HoldfastError(errorCode, `${describeCause(thrown)} (${code})`, { hint, cause: thrown });
  }
  if (code === "ENOSPC" || code === "EDQUOT") return new HoldfastError("no-space", describeCause(thrown), { cause: thrown });
  return thrown;
}
