import { emptyCrc64, updateCrc64 } from "./crc64.ts";

/** A sum over byte strings that does not depend on their order. It finds what was lost or mixed up; it is no proof against forgery. */
export interface KeySet {
  /** `bytes[from]` up to before `bytes[to]`; without them all. */
  add(kind: number, bytes: Uint8Array, from?: number, to?: number): void;
  /** 32 hexadecimal digits. */
  describe(): string;
}

export function createKeySet(): KeySet {
  const sums = new Uint32Array(4);
  return {
    add(kind, bytes, from = 0, to = bytes.length) {
      const { low, high } = updateCrc64(emptyCrc64, bytes, from, to);
      // A CRC alone is linear: sums of it would cancel out.
      const a = mix(low ^ Math.imul(kind + 1, 0x9e3779b1));
      const b = mix(high ^ a);
      const c = mix((to - from) ^ b);
      const d = mix(low ^ c);
      sums[0] = (sums[0] ?? 0) + a;
      sums[1] = (sums[1] ?? 0) + b;
      sums[2] = (sums[2] ?? 0) + c;
      sums[3] = (sums[3] ?? 0) + d;
    },
    describe: () => [...sums].map((sum) => sum.toString(16).padStart(8, "0")).join(""),
  };
}

/** The finishing step of MurmurHash3. */
function mix(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
