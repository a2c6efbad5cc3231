import { randomBytes } from "node:crypto";

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/**
 * A new id: nine characters of time and eleven random ones, in Crockford's base 32 (lower case), so that ids sort by creation.
 * @param epochMs milliseconds since the epoch
 */
export function createId(epochMs: number): string {
  let time = "";
  for (let rest = Math.floor(epochMs), digit = 0; digit < 9; digit += 1) {
    time = alphabet.charAt(rest % 32) + time;
    rest = Math.floor(rest / 32);
  }
  return time + Array.from(randomBytes(11), (byte) => alphabet.charAt(byte & 31)).join("");
}
