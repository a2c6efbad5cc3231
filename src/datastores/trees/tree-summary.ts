import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import type { Contents } from "../../base/contents.ts";
import type { ContentHash } from "./content-hash.ts";
import { MemberOrder } from "./member-order.ts";
import type { MemberHeader } from "./tar-header.ts";
import { type MemberFate, type MemberListener, TarReader } from "./tar-reader.ts";

const indexFlushChars = 256 * 1024;

/** What an extraction may create besides plain files, directories, links and FIFOs. */
export interface SpecialFiles {
  readonly devices: boolean;
  readonly setId: boolean;
}

/**
 * Reads a tree's tar to its end and says what is in it. Equal trees give equal contents, whatever file system they lie on; see
 * docs/FORMAT.md. Must be closed; `indexPath` gets one JSON line per member.
 */
export class TreeSummary implements MemberListener, Disposable {
  readonly reader: TarReader;
  readonly #order = new MemberOrder();
  readonly #special: SpecialFiles | undefined;
  readonly #tree = createHash("sha256");
  readonly #times = createHash("sha256");
  readonly #extended = createHash("sha256");
  readonly #counts = { files: 0, directories: 0, symlinks: 0, hardLinks: 0, fifos: 0, bytes: 0 };
  #devices = 0;
  #setIdFiles = 0;
  #sparseFiles = 0;
  #extendedMembers = 0;
  #path: Buffer = Buffer.alloc(0);
  #index: number | undefined;
  #lines = "";

  /**
   * Without `special` everything is kept in what the reader passes on; with it the files are not hashed: what is extracted is read again
   * from the disk.
   */
  constructor(options: { readonly indexPath?: string; readonly special?: SpecialFiles } = {}) {
    this.reader = new TarReader(this, options.special === undefined ? "hash" : "pass");
    this.#index = options.indexPath === undefined ? undefined : openSync(options.indexPath, "wx", 0o600);
    this.#special = options.special;
  }

  header(header: MemberHeader): MemberFate {
    this.#path = this.#order.accept(header);
    if (header.device !== undefined) return this.#special?.devices === false ? "drop" : "keep";
    return header.type === "file" && this.#special?.setId === false && (header.mode & 0o6000) !== 0 ? "clear-set-id" : "keep";
  }

  end(header: MemberHeader, content: ContentHash | undefined): void {
    this.#count(header);
    if (header.device === undefined) this.#digest(header, content);
    this.#writeIndex(header, content);
  }

  /** To be called once, when the archive has ended. Throws `backup-damaged` when it is not whole. */
  finish(): Contents {
    this.reader.end();
    this.#flushIndex();
    return {
      counts: this.#counts,
      digests: {
        tree: this.#tree.digest("hex"),
        times: this.#times.digest("hex"),
        ...(this.#extendedMembers === 0 ? {} : { xattrs: this.#extended.digest("hex") }),
      },
      facts: { devices: this.#devices, setIdFiles: this.#setIdFiles, sparseFiles: this.#sparseFiles, tarBytes: this.reader.bytes },
    };
  }

  [Symbol.dispose](): void {
    if (this.#index !== undefined) closeSync(this.#index);
    this.#index = undefined;
  }

  #count(header: MemberHeader): void {
    if (header.device !== undefined) this.#devices += 1;
    else if (header.type === "directory") this.#counts.directories += 1;
    else if (header.type === "symlink") this.#counts.symlinks += 1;
    else if (header.type === "hardlink") this.#counts.hardLinks += 1;
    else if (header.type === "fifo") this.#counts.fifos += 1;
    else this.#counts.files += 1;
    this.#counts.bytes += header.bytes;
    if (header.type === "file" && (header.mode & 0o6000) !== 0) this.#setIdFiles += 1;
    if (header.sparse) this.#sparseFiles += 1;
  }

  /** Set-id bits of files are no part of it, because a restore gives them back only where that is asked for. */
  #digest(header: MemberHeader, content: ContentHash | undefined): void {
    const mode = header.type === "file" ? header.mode & 0o1777 : header.mode;
    const ownership = header.type === "hardlink" ? "" : `${header.type === "symlink" ? "" : mode.toString(8)} ${header.uid} ${header.gid}`;
    const line = [this.#path, ` ${header.type} ${ownership} ${content?.digest ?? ""} `, header.link ?? ""];
    update(this.#tree, line);
    if (header.type === "file" || header.type === "symlink" || header.type === "fifo")
      update(this.#times, [this.#path, ` ${header.mtimeNs}`]);
    if (header.extended.length === 0) return;
    this.#extendedMembers += 1;
    for (const [key, value] of header.extended) update(this.#extended, [this.#path, ` ${key} `, value]);
  }

  #writeIndex(header: MemberHeader, content: ContentHash | undefined): void {
    if (this.#index === undefined) return;
    this.#lines += `${JSON.stringify({
      ...describeBytes("path", this.#path),
      type: header.type,
      ...(header.type === "file" ? { bytes: header.bytes } : {}),
      mode: header.mode.toString(8).padStart(4, "0"),
      uid: header.uid,
      gid: header.gid,
      mtimeNs: header.mtimeNs,
      ...(content === undefined ? {} : { [content.plain ? "sha256" : "foldedSha256"]: content.digest }),
      ...(header.link === undefined ? {} : describeBytes("link", header.link)),
      ...(header.device === undefined ? {} : { device: header.device }),
    })}\n`;
    if (this.#lines.length >= indexFlushChars) this.#flushIndex();
  }

  #flushIndex(): void {
    if (this.#index === undefined) return;
    const bytes = Buffer.from(this.#lines);
    for (let at = 0; at < bytes.length;) at += writeSync(this.#index, bytes, at);
    this.#lines = "";
  }
}

/** A NUL ends each line: no name has one. Values are counted, because they may. */
function update(hash: ReturnType<typeof createHash>, parts: readonly (Buffer | string)[]): void {
  hash.update(
    Buffer.concat(
      parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)).flatMap((part) => [part, Buffer.from(`:${part.length}`)]),
    ),
  );
  hash.update("\0");
}

function describeBytes(key: string, bytes: Buffer): Record<string, string> {
  return isUtf8(bytes) ? { [key]: bytes.toString("utf8") } : { [`${key}Base64`]: bytes.toString("base64") };
}
