import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { createHeader, frameEnd, frameHeader, framePadding } from "./tar-frames.ts";

const seconds = (text: string): number => Date.parse(text);

for (const [what, name, bytes, mtimeMs, listed] of [
  ["plain", "b/luna.db", 12, seconds("2024-01-01T12:00:00.999Z"), "-rw-r----- 0/0 12 2024-01-01 12:00:00 b/luna.db"],
  ["9 GiB", "b/large", 9 * 2 ** 30, seconds("2024-01-01T12:00:00Z"), "-rw-r----- 0/0 9663676416 2024-01-01 12:00:00 b/large"],
  ["20 TiB", "b/large", 20 * 2 ** 40, seconds("2024-01-01T12:00:00Z"), "-rw-r----- 0/0 21990232555520 2024-01-01 12:00:00 b/large"],
  ["empty", "b/empty", 0, 0, "-rw-r----- 0/0 0 1970-01-01 00:00:00 b/empty"],
  ["after 2038", "b/later", 1, seconds("2040-02-03T04:05:06Z"), "-rw-r----- 0/0 1 2040-02-03 04:05:06 b/later"],
  ["before 1970", "b/earlier", 1, seconds("1969-12-31T23:59:58Z"), "-rw-r----- 0/0 1 1969-12-31 23:59:58 b/earlier"],
  ["non-ASCII", "b/Ünïcödé ☃", 1, 0, "-rw-r----- 0/0 1 1970-01-01 00:00:00 b/Ünïcödé ☃"],
  ["long", `b/${"n".repeat(255)}/${"é".repeat(127)}`, 1, 0, `-rw-r----- 0/0 1 1970-01-01 00:00:00 b/${"n".repeat(255)}/${"é".repeat(127)}`],
  [
    "long, large, late",
    `b/${"n".repeat(255)}`,
    9 * 2 ** 30,
    seconds("2040-02-03T04:05:06Z"),
    `-rw-r----- 0/0 9663676416 2040-02-03 04:05:06 b/${"n".repeat(255)}`,
  ],
] as const) {
  test(`F51 GNU tar reads the header of an entry: ${what}`, async () => {
    const header = await createHeader({ name, bytes, mode: 0o4640, mtimeMs });
    assert.equal(header.length % 512, 0);
    // The body is not there: tar lists the entry, then misses it.
    const { stdout } = spawnSync("tar", ["-tvf", "-", "--full-time", "--numeric-owner", "--quoting-style=literal"], {
      input: header,
      encoding: "utf8",
      env: { PATH: process.env["PATH"], TZ: "UTC", LC_ALL: "C.UTF-8" },
    });
    assert.equal(stdout.trim().replaceAll(/ +/g, " "), listed);
  });
}

test("each part of a frame is compressed alone; the sum of it fills blocks", async () => {
  for (const method of ["none", "gzip", "zstd"] as const) {
    const open = (bytes: Uint8Array): Buffer =>
      method === "none" ? Buffer.from(bytes) : method === "gzip" ? gunzipSync(bytes) : zstdDecompressSync(bytes);
    assert.equal(open(await frameHeader({ name: "a", bytes: 1, mode: 0o640, mtimeMs: 0 }, { method })).length, 512);
    assert.equal(open(framePadding(513, { method })).length, 511);
    assert.equal(framePadding(1024, { method }).length, 0);
    assert.ok(open(frameEnd({ method })).equals(Buffer.alloc(1024)));
  }
});
