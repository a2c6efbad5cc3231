import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { OfflinePlace } from "../support/offline-place.ts";

const program = fileURLToPath(new URL("../../scripts/holdfast", import.meta.url));

let place: OfflinePlace;
before(async () => {
  place = await OfflinePlace.open();
});
beforeEach(() => place.reset());
after(() => place[Symbol.asyncDispose]());

interface Ended {
  readonly status: number;
  /** What came out at the end of the pipe. */
  readonly read: string;
}

/** Runs the program with its output in a pipe, or in a file; gives its own exit status. */
function runInto(args: readonly string[], rest: string): Ended {
  const marker = process.env["HOLDFAST_TEST_RUN"];
  const child = spawnSync("bash", ["-c", `"$@" ${rest}; echo "\${PIPESTATUS[0]}" >&2`, "bash", program, ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"],
      HOLDFAST_STATE_DIR: join(place.dir, "fresh/state"),
      HOLDFAST_RUNTIME_DIR: join(place.dir, "fresh/run"),
      HOLDFAST_HOOKS: "direct",
      TMPDIR: tmpdir(),
      ...(marker === undefined ? {} : { HOLDFAST_TEST_RUN: marker }),
    },
  });
  const status = child.stderr.trim().split("\n").at(-1);
  return { status: Number(status), read: `${child.stdout}${child.stderr}` };
}

function listLeft(): readonly string[] {
  const staging = join(place.dir, "fresh/state/staging");
  return existsSync(staging) ? readdirSync(staging) : [];
}

const full = "2>&1 >/dev/full";

for (const [what, rest] of [
  ["a reader that has gone after the first line", "2>&1 | head -1"],
  ["a reader that was never there", "2>&1 | true"],
  ["a full disk", "> /dev/full 2>&1"],
] as const) {
  test(`F59 E7 a restore ends as it would have, and the application runs, whatever becomes of its output: ${what}`, () => {
    const config = join(place.dir, "hooks.yaml");
    const hook = (name: string): string => `[sh, -c, "echo ${name} >>${place.dir}/hooks"]`;
    writeFileSync(config, place.writeConfig(`,\n      restore: { stop: [${hook("stop")}], start: [${hook("start")}] }`));
    rmSync(join(place.dir, "hooks"), { force: true });
    const args = ["restore", "--offline", join(place.copy, place.paths.archive), "--config", config, "--yes"];
    const { status } = runInto(args, rest);
    assert.deepEqual(place.readMemory(), [1, 2, 3]);
    assert.equal(spawnSync("cat", [join(place.dir, "hooks")], { encoding: "utf8" }).stdout, "stop\nstart\n");
    assert.deepEqual(listLeft(), []);
    // What was lost of the output on a disk is no success for whoever wanted it.
    assert.equal(status, rest.includes("/dev/full") ? 1 : 0);
  });
}

test("E7 a list whose reader has gone is no failure; one that its disk has no room for is, and says so", () => {
  const list = ["list", "--offline", place.copy];
  assert.equal(runInto(list, "| true").status, 0);
  const { status, read } = runInto(list, full);
  assert.equal(status, 1);
  assert.match(read, /What was done is done, but not all of the output could be written: .*ENOSPC/);
  assert.deepEqual(listLeft(), []);
});

test("E7 F14 data that its reader or its disk does not take to the end is no success, and leaves nothing behind", () => {
  const extract = ["extract", "--offline", join(place.copy, place.paths.archive), "memory", "-o", "-"];
  assert.deepEqual(runInto(extract, "| true"), { status: 1, read: "1\n" });
  const { status, read } = runInto(extract, full);
  assert.equal(status, 1);
  assert.match(read, /Cannot write the data: .*ENOSPC/);
  assert.deepEqual(listLeft(), []);
});
