import type { FileHandle } from "node:fs/promises";

const blockBytes = 1 << 20;

/** Writes all of a body to a file from its position on; gives the count of bytes. What the body throws comes out as it is. */
export async function writeBody(file: FileHandle, body: AsyncIterable<Uint8Array>): Promise<number> {
  const writer = new BlockWriter(file);
  try {
    for await (const chunk of body) await writer.add(chunk);
    await writer.flush();
  } finally {
    await writer.settle();
  }
  return writer.bytes;
}

/** Gathers chunks into blocks of 1 MiB: one is written while the next fills. Chunks may be reused by their producer at once. */
export class BlockWriter {
  readonly #file: FileHandle;
  readonly #attempt: (step: () => Promise<void>) => Promise<void>;
  #filling = Buffer.allocUnsafeSlow(blockBytes);
  #spare = Buffer.allocUnsafeSlow(blockBytes);
  #filled = 0;
  #writing: Promise<void> = Promise.resolve();
  bytes = 0;

  /** @param attempt does each writing, and may explain what it throws */
  constructor(file: FileHandle, attempt: (step: () => Promise<void>) => Promise<void> = (step) => step()) {
    this.#file = file;
    this.#attempt = attempt;
  }

  async add(chunk: Uint8Array): Promise<void> {
    for (let offset = 0; offset < chunk.length;) {
      const taken = Math.min(chunk.length - offset, blockBytes - this.#filled);
      this.#filling.set(chunk.subarray(offset, offset + taken), this.#filled);
      this.#filled += taken;
      offset += taken;
      if (this.#filled === blockBytes) await this.#turn();
    }
  }

  async flush(): Promise<void> {
    await this.#turn();
    await this.#writing;
  }

  /** Nothing is being written any more when this returns; never throws. */
  async settle(): Promise<void> {
    await this.#writing.catch(() => undefined);
  }

  async #turn(): Promise<void> {
    await this.#writing;
    const block = this.#filling.subarray(0, this.#filled);
    [this.#filling, this.#spare] = [this.#spare, this.#filling];
    this.#filled = 0;
    this.bytes += block.length;
    this.#writing = this.#attempt(() => writeAll(this.#file, block));
    this.#writing.catch(() => undefined); // heard at the next turn
  }
}

/** Writes on after short writes. */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, offset, bytes.length - offset);
    offset += bytesWritten;
  }
}
