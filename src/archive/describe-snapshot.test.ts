import assert from "node:assert/strict";
import { test } from "node:test";
import { writeBackup } from "../../test/support/write-backup.ts";
import { describeSnapshot } from "./describe-snapshot.ts";
import { formatInfoFile } from "./info-files.ts";

const at = "2026-01-01T02:00:05Z";

test("W1 W2 how a service stood while it was copied, and for how long it was down", () => {
  const describe = (copying: "live" | "paused" | "stopped", heldMs?: number): string | undefined =>
    describeSnapshot({ snapshot: { at, copying, ...(heldMs === undefined ? {} : { heldMs }) } });
  assert.equal(describe("stopped", 4_200), "stopped for 4s 200ms to be copied");
  assert.equal(describe("paused", 90), "paused for 90ms to be copied, as after a power cut (crash-consistent)");
  assert.equal(describe("stopped"), "stopped to be copied");
  assert.equal(describe("live"), undefined);
});

test("W2 backup_info.txt has it below the service", async () => {
  const { manifest } = await writeBackup({
    layout: "directory",
    compression: { method: "none" },
    members: [{ datastore: "neo4j", entries: [] }],
  });
  const [neo4j] = manifest.members;
  assert.ok(neo4j !== undefined);
  const draft = { ...manifest, members: [{ ...neo4j, snapshot: { at, copying: "stopped" as const, heldMs: 4_000 } }] };
  const text = formatInfoFile("backup_info.txt", { draft, name: "x", layout: "directory", timezone: "UTC" });
  assert.match(text, /^neo4j \(files\): ok\n {2}stopped for 4s to be copied$/m);
});
