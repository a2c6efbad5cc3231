// Writes test/fixtures/golden-backups/format-1 anew, through the backup operation itself. Only ever run by hand, and only while a format
// is not yet released: what stands there is what later versions must still read. UPDATE_GOLDEN=1 node test/support/make-golden-backups.ts
import { createHash } from "node:crypto";
import { chmodSync, lchownSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventsKey } from "../../src/archive/backup-keys.ts";
import { BackupReader } from "../../src/archive/backup-reader.ts";
import { compressionMethods } from "../../src/archive/compression.ts";
import { formatEvent, type BackupEvent } from "../../src/archive/events.ts";
import { createId } from "../../src/base/ids.ts";
import { localDestination } from "../../src/destinations/local/local-destination.ts";
import { runBackup } from "../../src/operations/backup.ts";
import type { BackupSetup, DatastoreSetup } from "../../src/operations/setup.ts";
import { execute } from "./sqlite.ts";

const vault = join(import.meta.dirname, "../fixtures/golden-backups/format-1");
const root = "/tmp/holdfast-golden";
const signal = new AbortController().signal;
const firstAtMs = Date.UTC(2024, 0, 1, 12);

if (process.env["UPDATE_GOLDEN"] !== "1") throw new Error("The golden backups are written only with UPDATE_GOLDEN=1");
rmSync(vault, { recursive: true, force: true });
rmSync(root, { recursive: true, force: true });
makeSources();
const destination = await localDestination.configure({ path: vault }).open({ name: "golden" });
await destination.initialize("init", signal);

const expected: Record<string, Record<string, string>> = {};
let previous: string | null = null;
let sequence = 0;
for (const layout of ["directory", "archive", "file"] as const) {
  for (const method of compressionMethods) {
    const startedAtMs = firstAtMs + sequence * 3_600_000;
    const names = layout === "file" ? ["memory"] : ["memory", "tree", "loose", "session"];
    const setup: BackupSetup = {
      host: "golden",
      version: "0.1.0",
      stagingDir: join(root, `staging-${sequence}`),
      backupId: createId(startedAtMs),
      job: "nightly",
      class: sequence === 3 ? "pre-restore" : "backup",
      trigger: "schedule",
      note: sequence === 1 ? "before the migration" : null,
      folder: "jobs/nightly",
      layout,
      nameTemplate: "golden_{YYYYMMDD}_{HHmmss}",
      timezone: "Europe/Berlin",
      compression: { method },
      infoFiles: ["backup_info.txt", "backup-metadata.json"],
      datastores: names.map(describeDatastore),
      destination: { name: "golden", kind: "local", options: { path: vault } },
      config: { layout, datastores: names },
      history: { sequence, previous, sizes: {} },
    };
    const result = await runBackup(setup, { now: () => startedAtMs, progress: () => undefined, log: () => undefined }, signal);
    const reader = new BackupReader(destination, result.folder, result.manifest, "");
    const bodies: Record<string, string> = {};
    for (const member of result.manifest.members) {
      for await (const entry of reader.readMember(member)) {
        const hash = createHash("sha256");
        for await (const chunk of entry.open(signal)) hash.update(chunk);
        bodies[`${member.datastore}/${entry.name}`] = hash.digest("hex");
      }
    }
    expected[result.manifestKey] = bodies;
    const events = sequence % 3 === 0 ? listEvents(startedAtMs) : [];
    for (const event of events) await destination.append(eventsKey(reader.location), Buffer.from(formatEvent(event)), signal);
    sequence += 1;
    previous = createHash("sha256").update(result.manifest.id).digest("hex");
  }
}
rmSync(join(vault, ".holdfast-destination.json"));
writeFileSync(join(vault, "..", "format-1.expected.json"), `${JSON.stringify(expected, undefined, 2)}\n`);
rmSync(root, { recursive: true });

function describeDatastore(name: string): DatastoreSetup {
  const options = {
    memory: { path: join(root, "memory.db") },
    tree: { root: join(root, "tree") },
    loose: { include: [join(root, "*-embedding.bin"), join(root, ".env")] },
    session: { include: [join(root, "session-*.json")], optional: true },
  }[name];
  return { name, kind: name === "memory" ? "sqlite" : "files", options, shrink: "off" };
}

function makeSources(): void {
  mkdirSync(join(root, "tree", "deep"), { recursive: true });
  execute(
    join(root, "memory.db"),
    "PRAGMA page_size = 512; CREATE TABLE messages (id INTEGER PRIMARY KEY, text TEXT); INSERT INTO messages (text) VALUES ('quack'), ('Überquack ☃')",
  );
  writeFileSync(join(root, "tree", "deep", "a.txt"), "in a tree\n");
  symlinkSync("deep/a.txt", join(root, "tree", "link"));
  chmodSync(join(root, "tree", "deep"), 0o2750);
  lchownSync(join(root, "tree", "deep", "a.txt"), 1234, 4321);
  writeFileSync(join(root, "one-embedding.bin"), Buffer.from([0, 1, 2, 255]));
  writeFileSync(join(root, "it's two-embedding.bin"), "");
  writeFileSync(join(root, ".env"), "KEY=value\n", { mode: 0o600 });
  for (const path of ["one-embedding.bin", "it's two-embedding.bin", ".env", "tree/deep/a.txt", "tree/deep", "tree"])
    utimesSync(join(root, path), 1_704_000_000.5, 1_704_000_000.5);
}

function listEvents(atMs: number): readonly BackupEvent[] {
  const at = (minutes: number): string => new Date(atMs + minutes * 60_000).toISOString();
  return [
    { at: at(1), event: "pinned", reason: "the first of its layout" },
    { at: at(2), event: "verified", tookMs: 12 },
    { at: at(3), event: "drilled", tookMs: 34, datastores: ["memory"] },
    { at: at(4), event: "note", text: "ein Hinweis: ☃" },
  ];
}
