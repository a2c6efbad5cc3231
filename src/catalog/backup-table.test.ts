import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../test/support/properties.ts";
import { createBackup, createMember, withCatalog } from "../../test/support/catalog.ts";
import type { CatalogBackup, Catalog } from "./contract.ts";

const names = (backups: readonly CatalogBackup[]): readonly string[] => backups.map(({ name }) => name.slice(12, 15));
const putAll = (catalog: Catalog, backups: readonly CatalogBackup[]): void => {
  for (const backup of backups) catalog.backups.put(backup);
};

const nightly = { job: "nightly", destination: "local" };

test("D4 backups are listed newest first, by job, destination, class, datastore and number", () => {
  withCatalog((catalog) => {
    putAll(catalog, [
      createBackup(2),
      createBackup(3, { job: "weekly", members: [createMember("mail", 5)] }),
      createBackup(1),
      createBackup(4, { class: "pre-restore" }),
      createBackup(5, { destination: "offsite" }),
    ]);
    const { backups } = catalog;
    assert.deepEqual(names(backups.find()), ["005", "004", "003", "002", "001"]);
    assert.deepEqual(names(backups.find({ limit: 2 })), ["005", "004"]);
    assert.deepEqual(names(backups.find({ job: "weekly" })), ["003"]);
    assert.deepEqual(names(backups.find({ destination: "offsite" })), ["005"]);
    assert.deepEqual(names(backups.find({ class: "pre-restore" })), ["004"]);
    assert.deepEqual(names(backups.find({ datastore: "mail" })), ["003"]);
    assert.deepEqual(names(backups.find({ datastore: "memory", destination: "local", class: "backup" })), ["002", "001"]);
    assert.deepEqual(backups.find({ datastore: "mem" }), []);
  });
});

test("backups of the same instant are ordered by sequence, then by id, whatever the order of arrival", () => {
  const tied = [createBackup(1, { id: "c" }), createBackup(2, { id: "a" }), createBackup(3, { id: "b" }), createBackup(3, { id: "z" })].map(
    (backup) => ({
      ...backup,
      createdAtMs: 9,
    }),
  );
  for (const order of [tied, tied.toReversed()]) {
    withCatalog((catalog) => {
      putAll(catalog, order);
      assert.deepEqual(catalog.backups.find(), tied.toReversed());
    });
  }
});

test("D14 one backup may stand at several destinations; each copy has marks of its own", () => {
  withCatalog(({ backups }) => {
    const here = createBackup(1);
    const there = createBackup(1, { destination: "offsite" });
    backups.put(here);
    backups.put(there);
    assert.deepEqual(backups.mark("offsite", here.id, { damaged: "bit rot", missingSinceMs: 5 }), {
      ...there,
      damaged: "bit rot",
      missingSinceMs: 5,
    });
    assert.deepEqual(backups.get("local", here.id), here);
    assert.deepEqual(backups.mark("offsite", here.id, { damaged: null }), { ...there, missingSinceMs: 5 });
    assert.equal(backups.remove("local", here.id), true);
    assert.equal(backups.get("local", here.id), undefined);
    assert.deepEqual(backups.find(), [{ ...there, missingSinceMs: 5 }]);
  });
});

test("a backup that is put again replaces what was there", () => {
  withCatalog(({ backups }) => {
    backups.put(createBackup(1));
    backups.put(createBackup(1, { pinned: "before the migration" }));
    assert.deepEqual(backups.find(), [createBackup(1, { pinned: "before the migration" })]);
  });
});

test("W12 marking or removing a backup that is not there (any more) is no error", () => {
  withCatalog(({ backups }) => {
    assert.equal(backups.mark("local", "gone", { verifiedAtMs: 1 }), undefined);
    assert.equal(backups.remove("local", "gone"), false);
    assert.deepEqual(backups.find(), []);
  });
});

test("W12 replacing a destination says what was added, changed and removed by hand, once", () => {
  withCatalog(({ backups }) => {
    const elsewhere = createBackup(9, { destination: "offsite" });
    for (const backup of [createBackup(1), createBackup(2), createBackup(3), elsewhere]) backups.put(backup);
    const read = [createBackup(1), createBackup(2, { pinned: "keep" }), createBackup(4)];
    assert.deepEqual(backups.replaceDestination("local", read), {
      added: [createBackup(4)],
      changed: [createBackup(2, { pinned: "keep" })],
      vanished: [createBackup(3)],
    });
    assert.deepEqual(backups.replaceDestination("local", read), { added: [], changed: [], vanished: [] });
    assert.deepEqual(backups.find(), [elsewhere, ...read.toReversed()]);
  });
});

test("a backup of another destination in the list is a bug, and nothing changes", () => {
  withCatalog(({ backups }) => {
    backups.put(createBackup(1));
    assert.throws(() => backups.replaceDestination("local", [createBackup(2, { destination: "offsite" })]), { code: "internal" });
    assert.deepEqual(backups.find(), [createBackup(1)]);
  });
});

test("W12 a backup that was copied by hand within its destination is listed once, where it was known", () => {
  withCatalog(({ backups }) => {
    const original = createBackup(1);
    const twin = createBackup(1, { folder: "aside", manifestKey: `aside/${original.manifestKey}` });
    assert.deepEqual(backups.replaceDestination("local", [original, twin]).added, [original]);
    assert.deepEqual(backups.replaceDestination("local", [twin, original]), { added: [], changed: [], vanished: [] });
    assert.deepEqual(backups.replaceDestination("local", [twin]).changed, [twin]);
  });
});

test("property: after replacing a destination exactly what was read is there, whatever was before; a rebuild is idempotent", () => {
  const backup = fc
    .record({
      sequence: fc.integer({ min: 0, max: 20 }),
      createdAtMs: fc.integer({ min: 0, max: 5 }),
      pinned: fc.option(fc.string()),
      suspect: fc.array(fc.string(), { maxLength: 2 }),
      note: fc.option(fc.string({ unit: "binary" })),
      members: fc.array(fc.record({ datastore: fc.string(), plainBytes: fc.maxSafeNat() }), { maxLength: 3 }),
    })
    .map(({ sequence, members, ...facts }) =>
      createBackup(sequence, { ...facts, members: members.map(({ datastore, plainBytes }) => createMember(datastore, plainBytes)) }),
    );
  const list = fc.uniqueArray(backup, { selector: ({ id }) => id, maxLength: 12 });
  const byId = (backups: readonly CatalogBackup[]) => backups.toSorted((left, right) => (left.id < right.id ? -1 : 1));
  withCatalog(({ backups }) => {
    const elsewhere = createBackup(50, { destination: "offsite" });
    backups.put(elsewhere);
    let before: readonly CatalogBackup[] = [];
    fc.assert(
      fc.property(list, (read) => {
        const { added, changed, vanished } = backups.replaceDestination("local", read);
        assert.deepEqual(byId(backups.find({ destination: "local" })), byId(read));
        const untouched = before.filter(({ id }) => ![...changed, ...vanished].some((other) => other.id === id));
        assert.deepEqual(byId([...untouched, ...added, ...changed]), byId(read));
        assert.deepEqual(backups.replaceDestination("local", read), { added: [], changed: [], vanished: [] });
        before = read;
      }),
      { numRuns: 200 },
    );
    assert.deepEqual(backups.find({ destination: "offsite" }), [elsewhere]);
  });
});

test("the history begins with sequence 0 and no predecessor, and goes on per job and destination", () => {
  withCatalog(({ backups }) => {
    assert.deepEqual(backups.readHistory(nightly, 5), { sequence: 0, previous: null, sizes: {}, items: {}, ratios: {} });
    backups.put(createBackup(7, { createdAtMs: 1, members: [] }));
    backups.put(createBackup(6, { members: [] }));
    backups.put(createBackup(8, { destination: "offsite" }));
    backups.put(createBackup(9, { job: "weekly" }));
    // The clock went back between 6 and 7: the running number decides.
    const previous = createBackup(7).manifestSha256;
    assert.deepEqual(backups.readHistory(nightly, 5), { sequence: 7, previous, sizes: {}, items: {}, ratios: {} });
  });
});

test("F50 a new backup is measured by the last believed ones, whole or partial", () => {
  withCatalog((catalog) => {
    const sized = (sequence: number, bytes: number, facts: Partial<CatalogBackup> = {}) =>
      createBackup(sequence, { members: [createMember("memory", bytes)], ...facts });
    putAll(catalog, [
      sized(1, 101),
      sized(2, 102),
      sized(3, 103, { status: "partial" }),
      sized(4, 4, { suspect: ["small"] }),
      sized(5, 5, { damaged: "bit rot" }),
      sized(6, 6, { class: "pre-restore" }),
      sized(7, 7, { missingSinceMs: 1 }),
      sized(8, 8, { job: "weekly" }),
      sized(9, 9, { destination: "offsite" }),
      createBackup(10, { members: [createMember("memory", 0, "absent"), createMember("caches", 50)] }),
      sized(11, 111),
    ]);
    const readSizes = (limit: number) => catalog.backups.readHistory(nightly, limit).sizes;
    assert.deepEqual(readSizes(9), { memory: [111, 103, 102, 101], caches: [50] });
    assert.deepEqual(readSizes(3), { memory: [111, 103], caches: [50] });
    assert.deepEqual(readSizes(1), { memory: [111] });
  });
});

test("a shrink that was accepted is the new beginning of that datastore's history; others keep theirs", () => {
  withCatalog((catalog) => {
    const make = (sequence: number, memory: number, facts: Partial<CatalogBackup> = {}) =>
      createBackup(sequence, { members: [createMember("memory", memory), createMember("caches", 50 + sequence)], ...facts });
    const shrink = { suspect: ["memory shrank"] };
    putAll(catalog, [make(1, 100), make(2, 100), make(3, 10, shrink)]);
    const readSizes = () => catalog.backups.readHistory(nightly, 10).sizes;
    assert.deepEqual(readSizes(), { memory: [100, 100], caches: [52, 51] });
    catalog.backups.mark("local", make(3, 10).id, { accepted: "cleaned up" });
    assert.deepEqual(readSizes(), { memory: [10], caches: [53, 52, 51] });
    putAll(catalog, [make(4, 9), make(5, 300, { ...shrink, accepted: "grown" })]);
    assert.deepEqual(readSizes(), { memory: [300, 9, 10], caches: [55, 54, 53, 52, 51] });
  });
});

test("F50 an absence that was accepted ends a datastore's history, one that was not leaves it", () => {
  withCatalog((catalog) => {
    const absent = (sequence: number, facts: Partial<CatalogBackup> = {}) =>
      createBackup(sequence, { members: [createMember("memory", 0, "absent"), createMember("caches", 50)], ...facts });
    const readSizes = () => catalog.backups.readHistory(nightly, 10).sizes;
    putAll(catalog, [createBackup(1), absent(2), absent(3, { suspect: ["memory has 0 B"] })]);
    assert.deepEqual(readSizes(), { memory: [2000], caches: [50, 1000] });
    catalog.backups.mark("local", absent(3).id, { accepted: "moved away" });
    assert.deepEqual(readSizes(), { caches: [50, 50, 1000] });
    putAll(catalog, [createBackup(4)]);
    assert.deepEqual(readSizes(), { memory: [2000], caches: [1000, 50, 50, 1000] });
  });
});

test("A15 the history tells how badly each datastore was compressed, where that is known", () => {
  withCatalog((catalog) => {
    const stored = (sequence: number, storedBytes: number, plainBytes = 1000) =>
      createBackup(sequence, { members: [{ ...createMember("memory", plainBytes), storedBytes }, createMember("caches", 50)] });
    putAll(catalog, [stored(1, 250), stored(2, 400), stored(3, 100), stored(4, 20, 0)]);
    assert.deepEqual(catalog.backups.readHistory(nightly, 10).ratios, { memory: 0.4 });
  });
});

test("prop-P1 retention freezes from a suspect backup until it is accepted or a later one is good", () => {
  withCatalog((catalog) => {
    const { backups } = catalog;
    const isFrozenBy = () => backups.findFreeze("nightly")?.backupId;
    assert.equal(isFrozenBy(), undefined);
    const suspect = createBackup(2, { suspect: ["memory has 1 B", "caches has 2 B"] });
    putAll(catalog, [createBackup(1), suspect]);
    assert.deepEqual(backups.findFreeze("nightly"), {
      backupId: suspect.id,
      reason: "duck_backup_002.tar.gz is suspect: memory has 1 B; caches has 2 B",
    });
    assert.equal(backups.findFreeze("weekly"), undefined);
    putAll(catalog, [
      createBackup(3, { status: "partial" }),
      createBackup(4, { damaged: "bit rot" }),
      createBackup(5, { class: "pre-restore" }),
      createBackup(6, { missingSinceMs: 1 }),
      createBackup(7, { job: "weekly" }),
    ]);
    assert.equal(isFrozenBy(), suspect.id, "none of these is a good run");
    backups.put(createBackup(8));
    assert.equal(isFrozenBy(), undefined);
    backups.put(createBackup(8, { id: "safety", class: "pre-restore", suspect: ["small"] }));
    assert.equal(isFrozenBy(), undefined, "a pre-restore backup has no history to be suspect by");
    backups.put(createBackup(9, { suspect: ["small"], status: "partial" }));
    backups.put(createBackup(10, { suspect: ["small"] }));
    assert.equal(isFrozenBy(), createBackup(10).id, "the newest one is named");
    backups.mark("local", createBackup(10).id, { accepted: "known" });
    assert.equal(isFrozenBy(), undefined);
    backups.mark("local", createBackup(10).id, { accepted: null });
    backups.put(createBackup(11, { suspect: ["small"], status: "partial", accepted: "known" }));
    assert.equal(isFrozenBy(), undefined, "who accepts the newest accepts what came before");
  });
});

test("W12 a suspect backup that is gone freezes nothing for ever; of copies one that was accepted or is intact counts for all", () => {
  withCatalog(({ backups }) => {
    const suspect = createBackup(2, { suspect: ["small"], status: "partial" });
    backups.put(suspect);
    backups.mark("local", suspect.id, { missingSinceMs: 5 });
    assert.equal(backups.findFreeze("nightly"), undefined);
    backups.put(suspect);
    backups.put({ ...suspect, destination: "offsite" });
    backups.mark("offsite", suspect.id, { accepted: "known" });
    assert.equal(backups.findFreeze("nightly"), undefined);
    backups.put({ ...suspect, destination: "offsite" });
    assert.equal(backups.findFreeze("nightly")?.backupId, suspect.id);
    backups.put(createBackup(3, { damaged: "bit rot" }));
    backups.put(createBackup(3, { destination: "offsite" }));
    assert.equal(backups.findFreeze("nightly"), undefined);
  });
});
