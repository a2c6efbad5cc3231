import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, test } from "node:test";
import { lockInstance } from "./instance-lock.ts";

const { signal } = new AbortController();
let parent: string;
let state: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "holdfast-instance-"));
  state = join(parent, "state");
  mkdirSync(state);
});
afterEach(() => rmSync(parent, { recursive: true }));

test("F6 a second daemon on the same state refuses, also through a link or a bind mount", async () => {
  const lock = await lockInstance(state, signal);
  await assert.rejects(lockInstance(state, signal), {
    code: "daemon-running",
    message: `Cannot use ${state}: another daemon (pid ${process.pid}) works with it`,
  });
  symlinkSync(state, join(parent, "link"));
  await assert.rejects(lockInstance(join(parent, "link"), signal), { code: "daemon-running" });
  const mounted = join(parent, "mounted");
  mkdirSync(mounted);
  assert.equal(spawnSync("mount", ["--bind", state, mounted]).status, 0);
  try {
    await assert.rejects(lockInstance(mounted, signal), { code: "daemon-running" });
  } finally {
    spawnSync("umount", [mounted]);
  }
  lock[Symbol.dispose]();
  (await lockInstance(state, signal))[Symbol.dispose]();
});

test("F7 F8 what a dead daemon left, whatever pid stands in it, locks nobody out", async () => {
  const script = `const { lockInstance } = await import(process.argv[1]); await lockInstance(process.argv[2], AbortSignal.timeout(10_000)); console.log("held"); process.stdin.resume();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script, join(import.meta.dirname, "instance-lock.ts"), state], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: child.stdout })) if (line === "held") break;
  await assert.rejects(lockInstance(state, signal), { code: "daemon-running", message: new RegExp(`\\(pid ${child.pid}\\)`) });
  child.kill("SIGKILL");
  await once(child, "exit");
  writeFileSync(join(state, "daemon.lock"), `${process.pid}\n`);
  (await lockInstance(state, signal))[Symbol.dispose]();
});
