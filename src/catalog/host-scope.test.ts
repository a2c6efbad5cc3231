import assert from "node:assert/strict";
import { test } from "node:test";
import { createBackup, withCatalog } from "../../test/support/catalog.ts";
import type { CatalogBackup } from "./contract.ts";

/** What two machines with the same config have left at one destination; the first one is from before hosts were put on record. */
const anybodys = createBackup(1);
const ducks = createBackup(2, { host: "duck" });
const swans = createBackup(3, { host: "swan", suspect: ["shrank"] });
const swansGood = createBackup(4, { host: "swan" });

function withBackups(backups: readonly CatalogBackup[], work: Parameters<typeof withCatalog>[0]): void {
  withCatalog((catalog, path) => {
    for (const backup of backups) catalog.backups.put(backup);
    work(catalog, path);
  });
}

test("history, freeze and statistics of a machine leave out what another one keeps at the same destination", () => {
  withBackups([anybodys, ducks, swans], ({ backups, statistics }) => {
    const readSequence = (host: string) => backups.readHistory({ job: "nightly", destination: "local", host }, 9).sequence;
    assert.deepEqual(["duck", "swan", "new"].map(readSequence), [2, 3, 1]);
    assert.equal(backups.findFreeze("nightly", "duck"), undefined);
    assert.equal(backups.findFreeze("nightly", "swan")?.backupId, swans.id);
    assert.deepEqual(statistics.read("nightly", "duck").newestGood, ducks);
    assert.equal(statistics.read("nightly", "duck").backups, 2);
    assert.deepEqual(statistics.read("nightly", "swan").newestGood, anybodys);
    assert.deepEqual(backups.find({ host: "swan" }), [swans, anybodys]);
  });
});

test("latest is what this machine made, even when another one made its own later", () => {
  withBackups([ducks, swansGood], ({ backups }) => {
    assert.deepEqual(backups.resolve("latest", { host: "duck" }), ducks);
    assert.deepEqual(backups.resolve("latest", { host: "swan" }), swansGood);
    assert.deepEqual(backups.resolve(swansGood.name, { host: "duck" }), swansGood);
  });
});

test("latest on a new machine is what the one before has left, and an error when there were several", () => {
  withBackups([ducks, createBackup(5, { host: "duck" })], ({ backups }) => {
    assert.equal(backups.resolve("latest", { host: "new" }).sequence, 5);
  });
  withBackups([ducks, swansGood], ({ backups }) => {
    for (const scope of [{}, { host: "new" }]) {
      assert.throws(() => backups.resolve("latest", scope), {
        code: "ambiguous-name",
        message: '"latest" fits the backups of 2 machines: duck, swan',
        hint: "Use a name or an id; `show` says which machine made a backup.",
      });
    }
  });
});
