import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { eventsKey, parseManifestKey } from "../../src/archive/backup-keys.ts";
import { openBackup, openLoneArchive, type BackupReader } from "../../src/archive/backup-reader.ts";
import { foldEvents, parseEvents } from "../../src/archive/events.ts";
import type { Destination } from "../../src/destinations/contract.ts";
import { localDestination } from "../../src/destinations/local/local-destination.ts";
import { runDrill } from "../../src/operations/drill.ts";
import type { TaskPorts } from "../../src/operations/setup.ts";
import { verifyBackup } from "../../src/operations/verify.ts";

const corpus = join(import.meta.dirname, "../fixtures/golden-backups");
const never = new AbortController().signal;
const ports: TaskPorts = { now: () => performance.now(), progress: () => undefined, log: () => undefined };

for (const format of readdirSync(corpus).filter((name) => /^format-\d+$/.test(name))) {
  const root = join(corpus, format);
  const expected = JSON.parse(readFileSync(join(corpus, `${format}.expected.json`), "utf8")) as Readonly<
    Record<string, Readonly<Record<string, string>>>
  >;

  describe(`golden backups of ${format}`, () => {
    test("all of them are found by their manifests alone", async () => {
      await using destination = await openCorpus(root);
      const keys = await Array.fromAsync(destination.list("", never));
      const manifests = keys.map(({ key }) => key).filter((key) => parseManifestKey(key) !== undefined);
      assert.deepEqual(manifests.toSorted(), Object.keys(expected).toSorted());
      assert.ok(manifests.length >= 9);
    });

    for (const [key, bodies] of Object.entries(expected)) {
      test(`W13 G5 ${key} opens, verifies, and restores to what it held`, async () => {
        const staging = mkdtempSync(join(tmpdir(), "holdfast-golden-"));
        try {
          await using destination = await openCorpus(root);
          const folder = "jobs/nightly";
          const backup = await openBackup(destination, folder, key, never);
          await checkBackup(backup, bodies, staging);
          if (backup.manifest.layout === "archive")
            await checkBackup(await openLoneArchive(destination, folder, backup.manifest.name, never), bodies, staging);
          const address = { destination: { name: "golden", kind: "local", options: { path: root } }, folder, key, lone: false };
          const drill = await runDrill({ address, host: "h", version: "0", stagingDir: staging }, ports, never);
          assert.equal(drill.members.length, backup.manifest.layout === "file" ? 1 : 3);
        } finally {
          rmSync(staging, { recursive: true });
        }
      });
    }

    test("the events beside them add up", async () => {
      await using destination = await openCorpus(root);
      const backup = await openBackup(destination, "jobs/nightly", Object.keys(expected)[0] ?? "", never);
      const events = parseEvents(readFileSync(join(root, eventsKey(backup.location)), "utf8"));
      const { pinned, damaged, drillMs, notes } = foldEvents(events, backup.manifest.finishedAt);
      assert.deepEqual(
        { pinned, damaged, drillMs, notes },
        { pinned: "the first of its layout", damaged: null, drillMs: 34, notes: ["ein Hinweis: ☃"] },
      );
    });

    test("the command of docs/FORMAT.md gives the seal of a manifest", () => {
      const command =
        /^ {4}(tail -c .* \| sha256sum) /m.exec(readFileSync(join(import.meta.dirname, "../../docs/FORMAT.md"), "utf8"))?.[1] ?? "";
      for (const key of Object.keys(expected)) {
        const printed = execFileSync("sh", ["-c", command.replace("FILE", `"$FILE"`)], {
          env: { ...process.env, FILE: join(root, key) },
          encoding: "utf8",
        });
        assert.equal(printed.slice(0, 64), (JSON.parse(readFileSync(join(root, key), "utf8")) as { sha256: string }).sha256);
      }
    });
  });
}

async function openCorpus(root: string): Promise<Destination> {
  return await localDestination.configure({ path: root }).open({ name: "golden" });
}

async function checkBackup(backup: BackupReader, bodies: Readonly<Record<string, string>>, staging: string): Promise<void> {
  await verifyBackup(backup, backup.manifest.members, staging, ports, never);
  const found: Record<string, string> = {};
  for (const member of backup.manifest.members) {
    for await (const entry of backup.readMember(member)) {
      const hash = createHash("sha256");
      for await (const chunk of entry.open(never)) hash.update(chunk);
      found[`${member.datastore}/${entry.name}`] = hash.digest("hex");
    }
  }
  assert.deepEqual(found, bodies);
  assert.match(await backup.readText("RESTORE.txt", never), /without Holdfast/);
  assert.match(await backup.readText("backup_info.txt", never), /messages: 2 rows/);
  if (backup.manifest.layout === "file") return;
  assert.equal(backup.manifest.members.find(({ datastore }) => datastore === "session")?.status, "absent");
  assert.match(await backup.readText("tree.index.jsonl", never), /"path":"deep\/a\.txt"/);
}
