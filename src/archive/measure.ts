import { createHash } from "node:crypto";

export interface Measure {
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/** Counts and hashes bytes on their way; `result` may be read once, after the last byte. */
export class Meter {
  readonly #hash = createHash("sha256");
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
  }

  finish(): Measure {
    return { bytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }
}

/** Passes bytes through a meter. */
export async function* meterBytes(body: AsyncIterable<Uint8Array>, meter: Meter): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of body) {
    meter.add(chunk);
    yield chunk;
  }
}

export function measureBytes(bytes: Uint8Array): Measure {
  const meter = new Meter();
  meter.add(bytes);
  return meter.finish();
}
