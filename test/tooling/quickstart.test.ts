import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../../scripts/quickstart.ts", import.meta.url));

test("the demo works, and writes no escape codes into a pipe", { timeout: 120_000 }, () => {
  const dir = mkdtempSync(join(tmpdir(), "demo-"));
  try {
    const { HOLDFAST_TEST_RUN, PATH } = process.env;
    const env = { PATH, ...(HOLDFAST_TEST_RUN === undefined ? {} : { HOLDFAST_TEST_RUN }), HOLDFAST_DEMO_DIR: join(dir, "demo") };
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, "--once"], { env, encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /^\$ holdfast drill latest$[^]*All of it worked/m);
    assert.ok(!`${stdout}${stderr}`.includes("\u001b"), stdout);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
