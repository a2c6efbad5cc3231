import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyCrc64, updateCrc64 } from "./crc64.ts";

const hex = ({ high, low }: { readonly high: number; readonly low: number }): string =>
  high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0");

test("the published test vector of Redis's CRC-64", () => {
  const bytes = Buffer.from("123456789");
  assert.equal(hex(updateCrc64(emptyCrc64, bytes, 0, bytes.length)), "e9c6d914c4b8d9ca");
});

test("any split into pieces gives the same sum", () => {
  const bytes = Buffer.from(Array.from({ length: 1000 }, (_, index) => (index * 7919) & 255));
  const whole = hex(updateCrc64(emptyCrc64, bytes, 0, bytes.length));
  for (let at = 0; at < 50; at += 1) {
    const first = updateCrc64(emptyCrc64, bytes, 0, at);
    assert.equal(hex(updateCrc64(first, bytes, at, bytes.length)), whole);
  }
});
