import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Catalog, CatalogBackup, CatalogMember, Run } from "../../src/catalog/contract.ts";
import { openCatalog } from "../../src/catalog/open-catalog.ts";

/** Memory where there is some: every change is synced, and the tests make many. */
const root = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

/** A new catalog in a directory of its own, both gone afterwards. */
export function withCatalog(work: (catalog: Catalog, path: string) => void): void {
  const directory = mkdtempSync(join(root, "holdfast-catalog-"));
  try {
    const path = join(directory, "catalog.db");
    using catalog = openCatalog({ path, whenMissing: "create" });
    work(catalog, path);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** A good, verified backup of the job `nightly` at `local`, made at second `sequence`. */
export function createBackup(sequence: number, facts: Partial<CatalogBackup> = {}): CatalogBackup {
  const number = String(sequence).padStart(3, "0");
  return {
    id: `01k0abcd0${number}xxxxxxxx`,
    job: "nightly",
    class: "backup",
    destination: "local",
    folder: "",
    name: `duck_backup_${number}.tar.gz`,
    layout: "archive",
    manifestKey: `duck_backup_${number}.tar.gz.manifest.json`,
    manifestSha256: number.padStart(64, "f"),
    sequence,
    createdAtMs: sequence * 1000,
    finishedAtMs: sequence * 1000 + 500,
    status: "ok",
    suspect: [],
    note: null,
    trigger: "schedule",
    storedBytes: 1000 + sequence,
    plainBytes: 3000,
    members: [createMember("memory", 2000), createMember("caches", 1000)],
    pinned: null,
    verifiedAtMs: sequence * 1000 + 500,
    drilledAtMs: null,
    drillMs: null,
    damaged: null,
    accepted: null,
    missingSinceMs: null,
    ...facts,
  };
}

export function createMember(datastore: string, plainBytes: number, status: CatalogMember["status"] = "ok"): CatalogMember {
  return { datastore, kind: "sqlite", status, plainBytes, entries: 1 };
}

export function createRun(id: string, facts: Partial<Run> = {}): Omit<Run, "state"> {
  return {
    id,
    taskId: `task-${id}`,
    attempt: 1,
    kind: "backup",
    job: "nightly",
    trigger: "schedule",
    startedAtMs: 1000,
    summary: "",
    details: null,
    ...facts,
  };
}
