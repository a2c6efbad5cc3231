import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { restoreBytes } from "./decompress.ts";
import { measureBytes } from "./measure.ts";
import { yieldBytes } from "../../test/support/byte-sources.ts";
import { assertCode, collect, large, never, openFor, withoutLeftovers } from "../../test/support/compression-bench.ts";

test("F58 decompression stops at the first byte too many, of stored and of plain bytes", async () => {
  const bomb = Buffer.alloc(64 << 20);
  for (const method of ["gzip", "zstd"] as const) {
    for (const claimed of [100, 1 << 20]) {
      await withoutLeftovers(async () => {
        const stored = openFor(method, bomb);
        let yielded = 0;
        const part = { stored: measureBytes(stored), plain: { bytes: claimed, sha256: "0".repeat(64) }, compression: method };
        const reading = async (): Promise<void> => {
          for await (const chunk of restoreBytes(() => yieldBytes(stored, 65_536), part, "bomb", never)) yielded += chunk.length;
        };
        await assertCode(reading(), "backup-damaged", method);
        assert.ok(yielded <= claimed);
      });
    }
  }
  let taken = 0;
  const endless = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      taken += 65_536;
      yield await Promise.resolve(Buffer.alloc(65_536));
    }
  };
  const part = {
    stored: { bytes: 1_000_000, sha256: "0".repeat(64) },
    plain: { bytes: 1_000_000, sha256: "0".repeat(64) },
    compression: "none" as const,
  };
  await assertCode(collect(restoreBytes(endless, part, "endless", never)), "backup-damaged", "none");
  assert.ok(taken < 1_200_000);
});

test("plain bytes that are only counted: too many, too few and other stored ones are refused, their hash is not asked for", async () => {
  for (const method of ["gzip", "zstd"] as const) {
    const stored = openFor(method, large);
    const good = { stored: measureBytes(stored), plain: { bytes: large.length, sha256: "0".repeat(64) }, compression: method };
    const read = (part: typeof good): Promise<Buffer> =>
      collect(restoreBytes(() => yieldBytes(stored, 65_536), part, "counted", never, "counted"));
    assert.ok((await read(good)).equals(large));
    for (const bytes of [large.length - 1, large.length + 1])
      await assertCode(read({ ...good, plain: { ...good.plain, bytes } }), "backup-damaged", `${method} ${bytes}`);
    await assertCode(read({ ...good, stored: { ...good.stored, sha256: "0".repeat(64) } }), "backup-damaged", `${method}, stored`);
  }
});

test("F58 a zstd frame that asks for a window of 128 MiB or more is refused", async () => {
  const stored = execFileSync("zstd", ["-q", "-c", "--ultra", "-22", "--long=31"], { input: Buffer.alloc(3000, "abc") });
  const windowed = Buffer.from(stored);
  const plain = Buffer.alloc(3000, "abc");
  // A frame without content size that claims a window of 2 GiB.
  windowed.writeUInt8(0x04, 4);
  windowed.writeUInt8(21 << 3, 5);
  await assertCode(
    collect(
      restoreBytes(
        () => yieldBytes(windowed, 100),
        { stored: measureBytes(windowed), plain: measureBytes(plain), compression: "zstd" },
        "window",
        never,
      ),
    ),
    "backup-damaged",
    "window",
  );
});

test("garbage after the last gzip member and missing ends are refused", async () => {
  for (const method of ["gzip", "zstd"] as const) {
    for (const body of [Buffer.from("small"), large]) {
      const good = openFor(method, body);
      for (const stored of [good.subarray(0, -1), good.subarray(0, 9), Buffer.alloc(0), Buffer.concat([good, good])]) {
        await assertCode(
          collect(
            restoreBytes(
              () => yieldBytes(stored, 10_000),
              { stored: measureBytes(stored), plain: measureBytes(body), compression: method },
              "x",
              never,
            ),
          ),
          "backup-damaged",
          `${method} ${stored.length}`,
        );
      }
    }
  }
});
