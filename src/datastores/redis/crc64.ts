/**
 * The CRC-64 that closes an RDB file: polynomial 0xad93d23594c935a9, reflected, start value 0. Kept as two halves of 32 bits, because
 * BigInt is fifty times slower; eight bytes at a time ("slicing").
 */
export interface Crc64 {
  readonly low: number;
  readonly high: number;
}

export const emptyCrc64: Crc64 = { low: 0, high: 0 };

const slices = 8;
const lows = new Uint32Array(slices * 256);
const highs = new Uint32Array(slices * 256);

function fillTables(): void {
  // The polynomial with its bits reversed: 0x95ac9329ac4bc9b5.
  const [polynomialHigh, polynomialLow] = [0x95ac9329, 0xac4bc9b5];
  for (let byte = 0; byte < 256; byte += 1) {
    let low = byte;
    let high = 0;
    for (let bit = 0; bit < 8; bit += 1) {
      const carry = low & 1;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (carry === 1) {
        low ^= polynomialLow;
        high ^= polynomialHigh;
      }
    }
    lows[byte] = low;
    highs[byte] = high;
  }
  for (let index = 256; index < slices * 256; index += 1) {
    const low = lows[index - 256] ?? 0;
    const high = highs[index - 256] ?? 0;
    lows[index] = (lows[low & 255] ?? 0) ^ ((low >>> 8) | (high << 24));
    highs[index] = (highs[low & 255] ?? 0) ^ (high >>> 8);
  }
}
fillTables();

const highAt = (index: number): number => highs[index] ?? 0;
const lowAt = (index: number): number => lows[index] ?? 0;

/** Of all bytes so far and these: `bytes[from]` up to before `bytes[to]`. */
export function updateCrc64(crc: Crc64, bytes: Uint8Array, from: number, to: number): Crc64 {
  return to - from < fewBytes ? updateBytewise(crc, bytes, from, to) : updateSliced(crc, bytes, from, to);
}

/** Names of keys are mostly so short that a view of their bytes, as slicing needs it, would cost more than it saves. */
const fewBytes = 24;

function updateBytewise(crc: Crc64, bytes: Uint8Array, from: number, to: number): Crc64 {
  let { low, high } = crc;
  for (let at = from; at < to; at += 1) {
    const index = (low ^ (bytes[at] ?? 0)) & 255;
    low = ((low >>> 8) | (high << 24)) ^ lowAt(index);
    high = (high >>> 8) ^ highAt(index);
  }
  return { low: low >>> 0, high: high >>> 0 };
}

function updateSliced(crc: Crc64, bytes: Uint8Array, from: number, to: number): Crc64 {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let low = crc.low | 0;
  let high = crc.high | 0;
  let at = from;
  for (const end = to - 7; at < end; at += 8) {
    low ^= view.getInt32(at, true);
    high ^= view.getInt32(at + 4, true);
    const a = 1792 + (low & 255);
    const b = 1536 + ((low >>> 8) & 255);
    const c = 1280 + ((low >>> 16) & 255);
    const d = 1024 + (low >>> 24);
    const e = 768 + (high & 255);
    const f = 512 + ((high >>> 8) & 255);
    const g = 256 + ((high >>> 16) & 255);
    const h = high >>> 24;
    low = lowAt(a) ^ lowAt(b) ^ lowAt(c) ^ lowAt(d) ^ lowAt(e) ^ lowAt(f) ^ lowAt(g) ^ lowAt(h);
    high = highAt(a) ^ highAt(b) ^ highAt(c) ^ highAt(d) ^ highAt(e) ^ highAt(f) ^ highAt(g) ^ highAt(h);
  }
  return updateBytewise({ low, high }, bytes, at, to);
}
