import type { Contents } from "../base/contents.ts";

/** Attributes of a source file; a restore gives them back. */
export interface FileAttributes {
  /** Permission bits including set-uid, set-gid and sticky: `mode & 0o7777`. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since the epoch, decimal text (it does not fit a double). */
  readonly mtimeNs: string;
}

/** A stored entry on its way back; bodies come decompressed, and none is to be trusted before it has ended: it ends normally only if its hashes are those of the manifest. Its pieces are the reader's: nobody writes into them again. Read each body before the next. */
export interface StoredEntry {
  readonly name: string;
  readonly form: "file" | "tree";
  readonly bytes: number;
  readonly sourcePath: string;
  readonly attributes?: FileAttributes;
  /** Of the member that it belongs to, where a manifest has told them. */
  readonly contents?: Contents;
  readonly open: (signal: AbortSignal) => AsyncIterable<Uint8Array>;
}
