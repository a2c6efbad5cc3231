import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createBackup } from "../../test/support/catalog.ts";
import { withDestination } from "../../test/support/destination-bed.ts";
import type { Backups, CatalogBackup } from "../catalog/contract.ts";
import type { BackupResult } from "./backup.ts";
import { describeBackup } from "./catalog-backup.ts";
import { syncDestination, type CatalogKeeper } from "./sync-destination.ts";

const never = new AbortController().signal;

/** The same keeper; `act` happens once the catalog has been asked for the first time, while the destination is being read. */
function createBusy(core: CatalogKeeper, act: () => void): CatalogKeeper {
  let isFirst = true;
  const find: Backups["find"] = (filter) => {
    const found = core.catalog.backups.find(filter);
    if (isFirst) act();
    isFirst = false;
    return found;
  };
  const backups = new Proxy(core.catalog.backups, {
    get(target, key) {
      const value: unknown = key === "find" ? find : Reflect.get(target, key);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
  const catalog = new Proxy(core.catalog, { get: (target, key) => (key === "backups" ? backups : (Reflect.get(target, key) as unknown)) });
  return { ...core, catalog };
}

const get = (backups: Backups, { manifest }: BackupResult): CatalogBackup | undefined => backups.get("local", manifest.id);

test("F66 what happens while a destination is read is newer than what is read: pins, new backups and removals stay", async () => {
  await withDestination(async ({ core, vault, made, backups }) => {
    const [pinned, removed, vanished] = made;
    assert.ok(pinned !== undefined && removed !== undefined && vanished !== undefined);
    const published = createBackup(9);
    const busy = createBusy(core, () => {
      backups.mark("local", pinned.manifest.id, { pinned: "needed" });
      backups.remove("local", removed.manifest.id);
      backups.put(published);
    });
    rmSync(join(vault, vanished.manifest.name), { recursive: true });
    const changes = await syncDestination(busy, "local", never);
    assert.equal(get(backups, pinned)?.pinned, "needed");
    assert.equal(get(backups, removed), undefined);
    assert.deepEqual(backups.get("local", published.id), published);
    assert.deepEqual(
      changes.vanished.map(({ id }) => id),
      [vanished.manifest.id],
    );
    // The next look, undisturbed, believes the destination.
    const next = await syncDestination(core, "local", never);
    assert.deepEqual([next.added.length, next.vanished.length], [1, 1]);
  });
});

test("F66 a manifest that cannot be read any more makes a backup damaged, never forgotten", async () => {
  await withDestination(async ({ core, vault, made, backups }) => {
    const [spoilt] = made;
    assert.ok(spoilt !== undefined);
    const path = join(vault, spoilt.manifestKey);
    writeFileSync(path, readFileSync(path).subarray(0, 100));
    const { vanished, unreadable } = await syncDestination(core, "local", never);
    assert.deepEqual([vanished.length, unreadable.length], [0, 1]);
    assert.notEqual(get(backups, spoilt)?.damaged, null);
  });
});

test("F19 F50 a destination without its marker empties no catalog", async () => {
  await withDestination(async ({ core, vault, backups }) => {
    rmSync(vault, { recursive: true });
    mkdirSync(vault);
    await assert.rejects(syncDestination(core, "local", never), { code: "destination-unmarked" });
    assert.equal(backups.find().length, 3);
  });
});

test("what is read anew is what a run has put on record", async () => {
  await withDestination(async ({ made, backups }) => {
    for (const result of made) assert.deepEqual(get(backups, result), describeBackup({ ...result, destination: "local" }, []));
  });
});
