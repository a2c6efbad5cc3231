import assert from "node:assert/strict";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startDaemon } from "../support/daemon.ts";

test("W5 what may be there a little later is tried again, and who waits is told until when and why", { timeout: 300_000 }, async () => {
  await using daemon = await startDaemon({
    config: (dir) => `
destinations:
  disk: { kind: local, path: ${dir}/disk }
datastores:
  notes: { kind: files, root: ${dir}/notes }
jobs:
  daily: { datastores: [notes], destination: disk, retry: { attempts: 3, backoff: 2s } }
`,
    init: ["disk"],
  });
  mkdirSync(join(daemon.dir, "notes"));
  writeFileSync(join(daemon.dir, "notes/a.txt"), "one");
  const disk = join(daemon.dir, "disk");
  renameSync(disk, `${disk}-away`);
  const { status, stdout, stderr } = await daemon.holdfast(["backup", "daily"], {
    whenSaid: { text: /attempt 1 of 3 failed: /, act: () => renameSync(`${disk}-away`, disk) },
  });
  assert.equal(status, 0, stderr);
  assert.match(stdout, /^ok: /);
  assert.match(stderr, /^waiting, not before \d{4}-.*Z: attempt 1 of 3 failed: .*disk/m);
  const runs = await daemon.json<readonly { readonly state: string }[]>(["runs"]);
  assert.deepEqual(
    runs.map(({ state }) => state),
    ["ok", "failed"],
  );
});
