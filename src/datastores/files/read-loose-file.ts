import { createHash } from "node:crypto";
import { type BigIntStats, constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { Note } from "../../base/note.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { LooseFile } from "./find-loose-files.ts";
import { escapePath } from "../trees/raw-path.ts";

const bufferBytes = 1024 * 1024;
const lineFeed = 0x0a;

/** One reading of a file from its start, as it was when it was opened. Must be closed. */
export class LooseReading implements AsyncDisposable {
  readonly #handle: FileHandle;
  readonly #file: LooseFile;
  readonly stat: BigIntStats;
  /** Bytes that are taken: the size when it was opened, or up to the last whole line in that. */
  readonly takenBytes: number;
  readonly #hash = createHash("sha256");
  #readBytes = 0;

  constructor(handle: FileHandle, file: LooseFile, stat: BigIntStats, takenBytes: number) {
    this.#handle = handle;
    this.#file = file;
    this.stat = stat;
    this.takenBytes = takenBytes;
  }

  get readBytes(): number {
    return this.#readBytes;
  }

  async *read(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    while (this.#readBytes < this.takenBytes) {
      if (signal.aborted) throw createAbortError(signal, `The reading of ${escapePath(this.#file.path)} was stopped`);
      const buffer = Buffer.allocUnsafe(Math.min(bufferBytes, this.takenBytes - this.#readBytes));
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, this.#readBytes);
      if (bytesRead === 0) return;
      const piece = buffer.subarray(0, bytesRead);
      this.#hash.update(piece);
      this.#readBytes += bytesRead;
      yield piece;
    }
  }

  /** To be called once, after the reading: its hash, and what happened to the file meanwhile. */
  async finish(): Promise<{ readonly sha256: string; readonly change: Note | undefined; readonly notes: readonly Note[] }> {
    return { sha256: this.#hash.digest("hex"), change: await this.#findChange(), notes: this.#describe() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }

  async #findChange(): Promise<Note | undefined> {
    const after = await this.#handle.stat({ bigint: true });
    const name = escapePath(this.#file.path);
    if (this.#readBytes < this.takenBytes || after.size < this.takenBytes)
      return { level: "partial", code: "file-shrank", message: `${name} shrank while it was read` };
    if (this.#file.lines) return undefined; // appending is what a log is for
    const same = after.size === this.stat.size && after.mtimeNs === this.stat.mtimeNs && after.ctimeNs === this.stat.ctimeNs;
    return same ? undefined : { level: "partial", code: "file-changed", message: `${name} changed while it was read` };
  }

  #describe(): readonly Note[] {
    const name = escapePath(this.#file.path);
    const notes: Note[] = [];
    const cut = Number(this.stat.size) - this.takenBytes;
    if (cut > 0 && this.takenBytes === 0)
      notes.push({ level: "partial", code: "no-whole-line", message: `${name} has no whole line; nothing of it is kept` });
    else if (cut > 0)
      notes.push({
        level: "info",
        code: "cut-at-line",
        message: `${name} is cut at a whole line: ${cut} bytes of an unfinished one are left out`,
      });
    if (this.stat.blocks * 512n < this.stat.size)
      notes.push({ level: "info", code: "sparse-not-kept", message: `${name} has holes, which are kept as zeros` });
    return notes;
  }
}

/** Opens a regular file without following a link and without ever blocking. Undefined when it is none any more. Throws system errors. */
export async function openLooseReading(file: LooseFile): Promise<LooseReading | undefined> {
  const handle = await open(file.realPath, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = await handle.stat({ bigint: true });
    if (stat.isFile())
      return new LooseReading(handle, file, stat, file.lines ? await findLineEnd(handle, Number(stat.size)) : Number(stat.size));
  } catch (error) {
    await handle.close();
    throw error;
  }
  await handle.close();
  return undefined;
}

/** The position after the last line feed within the first `size` bytes; 0 when there is none. */
async function findLineEnd(handle: FileHandle, size: number): Promise<number> {
  const buffer = Buffer.allocUnsafe(64 * 1024);
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - buffer.length);
    const { bytesRead } = await handle.read(buffer, 0, end - start, start);
    const found = buffer.subarray(0, bytesRead).lastIndexOf(lineFeed);
    if (found !== -1) return start + found + 1;
    end = start;
  }
  return 0;
}
