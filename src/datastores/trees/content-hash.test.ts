import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { fc } from "../../../test/support/properties.ts";
import { ContentHasher } from "./content-hash.ts";

const mib = 1024 * 1024;

/** The definition, without any cleverness. */
function hashSimply(bytes: Buffer): { digest: string; plain: boolean } {
  const hash = createHash("sha256");
  let plain = true;
  for (let at = 0; at < bytes.length;) {
    let end = at;
    while (end + mib <= bytes.length && bytes.subarray(end, end + mib).every((byte) => byte === 0)) end += mib;
    if (end > at) {
      hash.update(`holdfast zeros ${at} ${end - at}\n`);
      plain = false;
      at = end;
    } else {
      hash.update(bytes.subarray(at, at + mib));
      at += mib;
    }
  }
  return { digest: hash.digest("hex"), plain };
}

test("F52 a file's hash depends on its bytes only, not on its holes or on how it is read", () => {
  const stretch = fc.tuple(fc.constantFrom("zeros", "hole", "data"), fc.constantFrom(1, 511, mib - 1, mib, mib + 7, 2 * mib));
  fc.assert(
    fc.property(fc.array(stretch, { maxLength: 5 }), fc.integer({ min: 1000, max: 3 * mib }), (stretches, step) => {
      const hasher = new ContentHasher();
      const parts: Buffer[] = [];
      for (const [kind, bytes] of stretches) {
        const part = Buffer.alloc(bytes, kind === "data" ? 7 : 0);
        parts.push(part);
        if (kind === "hole") hasher.skipZeros(bytes);
        else for (let at = 0; at < bytes; at += step) hasher.update(part.subarray(at, at + step));
      }
      assert.deepEqual(hasher.finish(), hashSimply(Buffer.concat(parts)));
    }),
    { numRuns: 60 },
  );
});

test("a hole of a terabyte costs nothing", () => {
  const hasher = new ContentHasher();
  hasher.skipZeros(2 ** 40);
  hasher.update(Buffer.from("end"));
  assert.deepEqual(hasher.finish(), {
    digest: createHash("sha256")
      .update(`holdfast zeros 0 ${2 ** 40}\nend`)
      .digest("hex"),
    plain: false,
  });
});
