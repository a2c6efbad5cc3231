import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TargetFacts } from "../datastores/contract.ts";
import { assertRestoreFits, forecastRestore } from "./forecast-restore.ts";
import { openDestination } from "./verify.ts";

const signal = new AbortController().signal;
const facts: TargetFacts = { summary: "", present: true, bytes: 100, method: "", neededBytes: 200, notes: [], users: [] };

test("A15 one disk is added up once, with all that lies on it at the same time; a server's own is not known", async () => {
  const dir = mkdtempSync(join(tmpdir(), "forecast-"));
  try {
    await using saveTo = await openDestination({ name: "local", kind: "local", options: { path: dir } });
    const places = { stagingDir: dir, saveTo, layout: "archive" } as const;
    const demands = [
      { datastore: "a", plainBytes: 1000, facts: { ...facts, neededAt: dir, saveStagingBytes: 100 } },
      { datastore: "b", plainBytes: 5000, facts: { ...facts, neededBytes: 100 } },
    ];
    const [disk, server, ...others] = await forecastRestore(demands, places, signal);
    // The new copy, a copy of what is open now, its backup and that of the other, what both stage.
    assert.equal(disk?.neededBytes, 1000 + 100 + 200 + 100 + 200);
    assert.equal(disk.fits, true);
    assert.deepEqual([server?.neededBytes, server?.freeBytes, server?.fits], [5000, null, null]);
    assert.equal(others.length, 0);
    const gone = await forecastRestore(
      [{ datastore: "a", plainBytes: 7, facts: { ...facts, present: false, bytes: 0, neededBytes: 0, neededAt: dir } }],
      places,
      signal,
    );
    assert.deepEqual(
      gone.map(({ neededBytes }) => neededBytes),
      [7],
      "nothing is there, so nothing is saved",
    );

    // What shrinks to a tenth is not refused for its plain size; a little more than before is thought of.
    const large = { ...facts, bytes: 1000, neededBytes: 0, neededAt: dir };
    const [shrunk] = await forecastRestore([{ datastore: "a", plainBytes: 7, facts: large, ratio: 0.1 }], places, signal);
    assert.equal(shrunk?.neededBytes, 7 + 125 + 125);

    const vast = await forecastRestore([{ datastore: "a", plainBytes: 2 ** 60, facts: { ...facts, neededAt: dir } }], places, signal);
    assert.throws(() => assertRestoreFits(vast), {
      code: "no-space",
      message: /may need up to 1024\.0 PiB .*copy of a at/,
      hint: /Nothing was stopped or touched/,
    });
    assertRestoreFits([disk, ...(server === undefined ? [] : [server])]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
