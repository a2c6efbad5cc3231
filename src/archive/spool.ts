import { copyFile, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { writeBody } from "../base/block-writer.ts";
import type { ByteSource } from "../base/byte-source.ts";
import { readErrno } from "../base/errors.ts";
import { createAbortError } from "../base/subprocess.ts";

const blockBytes = 1 << 20;

/** Bytes that wait in a private directory until their place in the backup is known. */
export class Spool {
  readonly #directory: string;
  #count = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Gives the path. What a failure leaves goes with the directory. */
  async write(body: AsyncIterable<Uint8Array>): Promise<string> {
    const path = await this.#createPath();
    await using file = await open(path, "wx", 0o600);
    await writeBody(file, body);
    return path;
  }

  /** Moves a file into the directory. */
  async takeFile(path: string): Promise<Extract<ByteSource, { kind: "file" }>> {
    const taken = await this.#createPath();
    try {
      await rename(path, taken);
    } catch (error) {
      if (readErrno(error) !== "EXDEV") throw error;
      await copyFile(path, taken);
      await rm(path);
    }
    return { kind: "file", path: taken, bytes: (await stat(taken)).size };
  }

  async *read(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    await using file = await open(path, "r");
    for (;;) {
      if (signal.aborted) throw createAbortError(signal, "Reading a spool was stopped");
      const { bytesRead, buffer } = await file.read({ buffer: Buffer.allocUnsafeSlow(blockBytes) });
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async remove(path: string): Promise<void> {
    await rm(path, { force: true });
  }

  async #createPath(): Promise<string> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    this.#count += 1;
    return join(this.#directory, `${this.#count}.spool`);
  }
}
