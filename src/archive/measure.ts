import { createHash } from "node:crypto";

export interface Measure {
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/** Counts and hashes bytes on their way; takes no more after `finish`. */
export class Meter {
  readonly #hash = createHash("sha256");
  #bytes = 0;
  #measure: Measure | undefined;

  get bytes(): number {
    return this.#bytes;
  }

  add(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
  }

  finish(): Measure {
    this.#measure ??= { bytes: this.#bytes, sha256: this.#hash.digest("hex") };
    return this.#measure;
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

export function isSameMeasure(one: Measure, other: Measure): boolean {
  return one.bytes === other.bytes && one.sha256 === other.sha256;
}
