import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chooseSeed } from "../support/choose-seed.ts";
import { withoutGit } from "../support/without-git.ts";

test("the seed of a bounded run is that of the committed code and tests, of a long one new, and one that is given is taken", (t) => {
  const root = mkdtempSync(join(tmpdir(), "holdfast-seed-"));
  const former = process.env["HOLDFAST_SEED"];
  delete process.env["HOLDFAST_SEED"];
  t.after(() => {
    rmSync(root, { recursive: true });
    if (former !== undefined) process.env["HOLDFAST_SEED"] = former;
  });
  const git = (...args: readonly string[]): unknown =>
    execFileSync("git", ["-C", root, "-c", "user.name=t", "-c", "user.email=t@example.org", ...args], {
      stdio: "pipe",
      env: withoutGit(process.env),
    });
  const commit = (path: string): number => {
    writeFileSync(join(root, path), path);
    git("add", ".");
    git("commit", "--quiet", "--message=change");
    return chooseSeed(root, "bounded");
  };
  assert.equal(chooseSeed(root, "bounded"), 0, "there is no repository");
  git("init", "--quiet");
  for (const name of ["src", "test", "docs"]) mkdirSync(join(root, name));
  commit("src/one.ts");
  const seed = commit("test/one.ts");
  assert.equal(chooseSeed(root, "bounded"), seed);
  assert.equal(commit("docs/STATUS.md"), seed, "what a run writes does not change what it tries");
  assert.notEqual(commit("test/two.ts"), seed);
  assert.ok(new Set(Array.from({ length: 8 }, () => chooseSeed(root, "long"))).size > 1);
  process.env["HOLDFAST_SEED"] = "42";
  assert.equal(chooseSeed(root, "bounded"), 42);
  process.env["HOLDFAST_SEED"] = "soon";
  assert.throws(() => chooseSeed(root, "bounded"), /HOLDFAST_SEED must be a number of at most nine digits, not "soon"/);
  delete process.env["HOLDFAST_SEED"];
});
