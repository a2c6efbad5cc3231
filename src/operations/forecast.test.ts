import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MemoryDestination, MemoryMedium } from "../../test/support/memory-destination.ts";
import { onExit } from "../../test/support/trees.ts";
import type { ProbeFacts } from "../datastores/contract.ts";
import { assertSpace } from "./forecast.ts";
import type { BackupSetup } from "./setup.ts";

const never = new AbortController().signal;
const mib = 1 << 20;
const probe = (estimatedBytes: number | undefined, stagingBytes = 0): ProbeFacts => ({
  summary: "",
  ...(estimatedBytes === undefined ? {} : { estimatedBytes }),
  stagingBytes,
  absent: false,
  notes: [],
});

type Space = Pick<BackupSetup, "compression" | "layout" | "history">;
const none: BackupSetup["compression"] = { method: "none" };
const gzip: BackupSetup["compression"] = { method: "gzip", level: 6 };

/** Whether a run is let in with so much free at the destination, and with a staging directory of its own where a size is given. */
async function fits(probed: Record<string, ProbeFacts>, freeMib: number, space: Partial<Space>, stagingMib?: number): Promise<boolean> {
  const stagingDir = mkdtempSync(join(tmpdir(), "forecast-"));
  using _removed = onExit(() => rmSync(stagingDir, { recursive: true }));
  mkdirSync(join(stagingDir, "small"));
  if (stagingMib !== undefined) execFileSync("mount", ["-t", "tmpfs", "-o", `size=${stagingMib}m`, "none", join(stagingDir, "small")]);
  using _unmounted = onExit(() => stagingMib !== undefined && execFileSync("umount", ["--lazy", join(stagingDir, "small")]));
  const medium = new MemoryMedium();
  medium.marker = "local";
  medium.freeBytes = freeMib * mib;
  const history = { sequence: 0, previous: null, sizes: {}, ...space.history };
  const setup = {
    compression: gzip,
    layout: "directory" as const,
    datastores: [],
    ...space,
    history,
    stagingDir: join(stagingDir, "small"),
  };
  try {
    await assertSpace({ setup, probed: new Map(Object.entries(probed)), destination: new MemoryDestination("local", medium) }, never);
    return true;
  } catch (error) {
    assert.equal((error as { readonly code?: unknown }).code, "no-space");
    return false;
  }
}

const history = (ratios: Record<string, number>, sizes: Record<string, number[]> = {}) => ({ sequence: 1, previous: null, sizes, ratios });

test("A15 F14 without a history a run is refused by its plain size", async () => {
  assert.equal(await fits({ memory: probe(90 * mib) }, 100, {}), false, "16 MiB stay free");
  assert.equal(await fits({ memory: probe(84 * mib) }, 100, {}), true);
  assert.equal(await fits({ memory: probe(60 * mib), caches: probe(30 * mib) }, 100, {}), false);
});

test("A15 a run is let in by how its data was compressed before, with a margin", async () => {
  const memory = { memory: probe(400 * mib) };
  assert.equal(await fits(memory, 100, { history: history({ memory: 0.1 }) }), true);
  assert.equal(await fits(memory, 100, { history: history({ memory: 0.2 }) }), false, "a quarter more than ever may be needed");
  assert.equal(await fits(memory, 100, { history: history({ caches: 0.1 }) }), false, "each has its own");
  assert.equal(await fits(memory, 100, { history: history({ memory: 0.1 }), compression: none }), false, "that was another compression");
  assert.equal(
    await fits({ memory: probe(84 * mib) }, 100, { history: history({ memory: 1.02 }) }),
    true,
    "never more than the plain size",
  );
});

test("A15 a datastore that cannot tell its size is taken for as large as the last time", async () => {
  const memory = { memory: probe(undefined) };
  assert.equal(await fits(memory, 100, { history: history({}, { memory: [200 * mib, 10 * mib] }) }), false);
  assert.equal(await fits(memory, 100, { history: history({ memory: 0.2 }, { memory: [200 * mib, 10 * mib] }) }), true);
  assert.equal(await fits(memory, 100, {}), true, "nothing is known");
});

test("A15 F14 the staging directory must hold staged copies, and an archive's spools", async () => {
  const memory = { memory: probe(40 * mib, 40 * mib) };
  assert.equal(await fits(memory, 1000, {}, 50), false);
  assert.equal(await fits(memory, 1000, {}, 64), true);
  assert.equal(await fits(memory, 1000, { layout: "archive" }, 64), false);
  assert.equal(await fits(memory, 1000, { layout: "archive", history: history({ memory: 0.1 }) }, 64), true);
});
