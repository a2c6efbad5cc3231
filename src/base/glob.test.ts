import assert from "node:assert/strict";
import { matchesGlob } from "node:path";
import { test } from "node:test";
import { fc } from "../../test/support/properties.ts";
import { compileGlob, escapeGlob, isGlob, unescapeGlob } from "./glob.ts";

const cases: readonly (readonly [pattern: string, matching: readonly string[], other: readonly string[]])[] = [
  [
    "/srv/duck/*-embedding.bin",
    ["/srv/duck/a-embedding.bin", "/srv/duck/-embedding.bin"],
    ["/srv/duck/sub/a-embedding.bin", "/srv/duck/.a-embedding.bin", "/srv/duck/a-embedding.bin.old"],
  ],
  ["/a/**/x", ["/a/x", "/a/b/x", "/a/b/c/x"], ["/a/.b/x", "/ax", "/a/b/xx"]],
  ["/a/**", ["/a/b", "/a/b/c"], ["/a", "/b/a", "/a/.b"]],
  ["/a/*", ["/a/b"], ["/a/", "/a/b/c", "/a/.b"]],
  ["/a/[a-c]?", ["/a/b1", "/a/cc"], ["/a/d1", "/a/b", "/a/b/"]],
  ["/a/[!a]", ["/a/b"], ["/a/a", "/a//"]],
  ["/a/{one,two*}.txt", ["/a/one.txt", "/a/two.txt", "/a/twofold.txt"], ["/a/three.txt"]],
  ["/a/.*", ["/a/.b"], ["/a/b"]],
  ["/a/\\*", ["/a/*"], ["/a/b"]],
  ["/a/a.b+c(d)", ["/a/a.b+c(d)"], ["/a/aXb+c(d)"]],
  ["/a/line*", ["/a/line\nbreak"], []],
  ["/a/[", ["/a/["], ["/a/b"]],
];

for (const [pattern, matching, other] of cases) {
  test(`D1 glob ${pattern}`, () => {
    const glob = compileGlob(pattern, "hide-dots");
    for (const path of matching) assert.match(path, glob);
    for (const path of other) assert.doesNotMatch(path, glob);
  });
}

test("exclusions match names that begin with a dot", () => {
  assert.match(".cache/x", compileGlob("**/x", "match-dots"));
  assert.match(".cache", compileGlob("*", "match-dots"));
});

test("any text is escaped to a glob that matches only itself", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (text, other) => {
      const escaped = escapeGlob(text);
      assert.equal(isGlob(escaped), false);
      assert.equal(unescapeGlob(escaped), text);
      assert.equal(compileGlob(escaped, "hide-dots").test(text), true);
      assert.equal(compileGlob(escaped, "hide-dots").test(other), text === other);
    }),
  );
});

test("plain wildcards agree with Node's own globs", () => {
  const text = (alphabet: readonly string[]): fc.Arbitrary<string> =>
    fc.array(fc.constantFrom(...alphabet), { minLength: 1, maxLength: 5 }).map((parts) => parts.join(""));
  const segments = (alphabet: readonly string[]): fc.Arbitrary<string> =>
    fc.array(text(alphabet), { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join("/")}`);
  fc.assert(
    fc.property(segments(["a", "b", "?", "*b", "a*"]), segments(["a", "b", "ab"]), (pattern, path) => {
      fc.pre(!pattern.includes("**"));
      assert.equal(compileGlob(pattern, "hide-dots").test(path), matchesGlob(path, pattern));
    }),
    { numRuns: 500 },
  );
});
