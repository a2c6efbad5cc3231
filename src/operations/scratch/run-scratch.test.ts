import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { runScratchRemoval } from "./run-scratch.ts";
import { listScratches, readScratch, scratchDir, writeScratch, type ScratchRecord } from "./scratch-record.ts";

const id = "01hkz3b4c5d6e7f8g9h0";
const noSignal = new AbortController().signal;

async function makeScratch(
  t: TestContext,
): Promise<{ readonly stateDir: string; readonly place: string; readonly remove: () => Promise<unknown> }> {
  const stateDir = mkdtempSync(join(tmpdir(), "scratch-"));
  t.after(() => rmSync(stateDir, { recursive: true, force: true }));
  const record: ScratchRecord = {
    version: 1,
    id,
    state: "ready",
    job: "nightly",
    backup: { id, name: "nightly_1", destination: "local" },
    createdAtMs: 1,
    untilMs: 2,
    members: [],
  };
  await writeScratch(stateDir, record);
  const place = scratchDir(stateDir, id);
  mkdirSync(join(place, "uploads"), { recursive: true });
  writeFileSync(join(place, "uploads", "restored"), "restored");
  const setup = { stateDir, scratchId: id, options: {}, stagingDir: join(stateDir, "staging") };
  const ports = { progress: () => undefined, now: () => 0 };
  const remove = (): Promise<unknown> => runScratchRemoval(setup as never, ports as never, noSignal);
  return { stateDir, place, remove };
}

test("A6 what somebody has mounted in a scratch place is not removed with it: it waits", async (t) => {
  const { stateDir, place, remove } = await makeScratch(t);
  const live = join(stateDir, "live");
  const mounted = join(place, "uploads", "l ive");
  for (const path of [live, mounted]) mkdirSync(path);
  writeFileSync(join(live, "only-copy"), "live");
  execFileSync("mount", ["--bind", live, mounted]);
  try {
    await assert.rejects(remove(), { code: "restore-stuck", message: /l ive is mounted in it/ });
    assert.equal(readFileSync(join(live, "only-copy"), "utf8"), "live");
    assert.equal(readScratch(stateDir, id)?.state, "removing", "it is still known");
  } finally {
    execFileSync("umount", [mounted]);
  }
  await remove();
  assert.equal(existsSync(place), false);
  assert.equal(readScratch(stateDir, id), undefined);
  assert.equal(readFileSync(join(live, "only-copy"), "utf8"), "live");
});

test("A6 a place that has become a link goes as a link; a record under another's name is told and followed by nobody", async (t) => {
  const { stateDir, place, remove } = await makeScratch(t);
  const live = join(stateDir, "live");
  mkdirSync(live);
  writeFileSync(join(live, "only-copy"), "live");
  rmSync(place, { recursive: true });
  symlinkSync(live, place);
  const other = "01hkz3b4c5d6e7f8g9h1";
  writeFileSync(join(stateDir, "scratch", `${other}.json`), readFileSync(join(stateDir, "scratch", `${id}.json`)));
  assert.deepEqual(listScratches(stateDir).scratches.length, 1);
  assert.match(listScratches(stateDir).problems.join(), new RegExp(other));
  assert.throws(() => readScratch(stateDir, other), { code: "state-corrupt" });
  await remove();
  assert.equal(readFileSync(join(live, "only-copy"), "utf8"), "live");
  assert.equal(existsSync(place), false);
});
