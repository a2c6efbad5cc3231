import assert from "node:assert/strict";
import { test } from "node:test";
import { createBackup, withCatalog } from "../../test/support/catalog.ts";
import type { HoldfastError } from "../base/errors.ts";
import type { Catalog, CatalogBackup } from "./contract.ts";

function withBackups(backups: readonly CatalogBackup[], work: (resolve: Catalog["backups"]["resolve"]) => void): void {
  withCatalog((catalog) => {
    for (const backup of backups) catalog.backups.put(backup);
    work((text, scope) => catalog.backups.resolve(text, scope));
  });
}

test("D5 a backup is found by id, by the beginning of its id, by name, by name without suffix, and by path", () => {
  const wanted = createBackup(2, { id: "7fabcdefghjkmnpqrstv" });
  const snapshot = createBackup(4, { name: "parmelae", folder: "weekly", layout: "directory" });
  withBackups([createBackup(1), wanted, snapshot, createBackup(3, { class: "pre-restore", name: "pre_restore_1.tar.gz" })], (resolve) => {
    for (const text of [
      wanted.id,
      "7fabcd",
      "duck_backup_002.tar.gz",
      "duck_backup_002",
      "./duck_backup_002.tar.gz",
      "/var/backups/holdfast/duck_backup_002.tar.gz",
    ]) {
      assert.deepEqual(resolve(text), wanted, text);
    }
    assert.deepEqual(resolve("/mnt/old/weekly/parmelae/"), snapshot);
    assert.equal(resolve("pre_restore_1").class, "pre-restore");
  });
});

test("W3 a backup is found by the time in its name", () => {
  const directory = createBackup(1, { name: "whisperengine_backup_20260101_020000", layout: "directory" });
  const archive = createBackup(2, { name: "duck_backup_20260102_030000.tar.gz" });
  const second = createBackup(3, { name: "duck_backup_20260102_030000-2.tar.gz" });
  const saved = createBackup(4, { name: "pre_restore_20260102_030000.tar.gz", class: "pre-restore" });
  const utc = createBackup(5, { name: "backup-2026-01-03T12-00-00", layout: "directory" });
  const daily = createBackup(6, { name: "schema_20260104.sql" });
  const later = createBackup(7, { name: "pre_restore_20260105_000000.tar.gz", class: "pre-restore" });
  withBackups([directory, archive, second, saved, utc, daily, later], (resolve) => {
    assert.deepEqual(resolve("20260101_020000"), directory);
    assert.deepEqual(resolve("20260102_030000"), archive);
    assert.deepEqual(resolve("20260102_030000-2"), second);
    assert.deepEqual(resolve("2026-01-03T12-00-00"), utc);
    assert.deepEqual(resolve("20260104"), daily);
    assert.deepEqual(resolve("20260105_000000"), later);
    // Neither a part of a time nor anything else that stands in a name.
    for (const text of ["20260101", "20260102", "020000", "0101_020000", "backup_20260101_020000", "2026"])
      assert.throws(() => resolve(text), { code: "backup-not-found" }, text);
  });
  withBackups([directory, createBackup(8, { name: "other_20260101_020000.tar" })], (resolve) => {
    assert.throws(() => resolve("20260101_020000"), { code: "ambiguous-name" });
  });
});

test("D5 an unknown backup is told with the nearest name", () => {
  withBackups([createBackup(1), createBackup(2), createBackup(3, { job: "weekly" })], (resolve) => {
    const hint = 'Did you mean "duck_backup_002.tar.gz"? `holdfast list` shows all backups.';
    assert.throws(() => resolve("duck_bakcup_002.tar.gz"), {
      code: "backup-not-found",
      message: 'There is no backup "duck_bakcup_002.tar.gz"',
      hint,
    });
    assert.throws(() => resolve("/x/duck_bakup_002"), { hint: 'Did you mean "duck_backup_002"? `holdfast list` shows all backups.' });
    assert.throws(() => resolve("zebra"), { hint: "`holdfast list` shows all backups." });
    assert.throws(() => resolve("duck_backup_003", { job: "nightly", destination: "local" }), {
      code: "backup-not-found",
      message: 'There is no backup "duck_backup_003" of job "nightly" in destination "local"',
    });
    assert.equal(resolve("duck_backup_003", { job: "weekly", destination: "local" }).sequence, 3);
    for (const text of ["", "/", ".", "01k0a", "%", "_______"]) assert.throws(() => resolve(text), { code: "backup-not-found" }, text);
  });
});

test("the beginning of an id needs six characters and must fit one backup only", () => {
  const [one, other] = [createBackup(1, { id: "7fabcde1" }), createBackup(2, { id: "7fabcde2" })];
  withBackups([one, other], (resolve) => {
    assert.throws(() => resolve("7fabc"), { code: "backup-not-found" });
    assert.deepEqual(resolve("7fabcde2"), other);
    assert.throws(
      () => resolve("7fabcd"),
      (error: HoldfastError) => {
        assert.equal(error.code, "ambiguous-name");
        assert.match(error.message, /^"7fabcd" fits 2 backups: 7fabcde2 \(duck_backup_002\.tar\.gz of "nightly" in "local"\), 7fabcde1 /);
        assert.deepEqual(error.details?.["candidates"], [
          { id: "7fabcde2", name: "duck_backup_002.tar.gz", job: "nightly", destination: "local", createdAt: "1970-01-01T00:00:02.000Z" },
          { id: "7fabcde1", name: "duck_backup_001.tar.gz", job: "nightly", destination: "local", createdAt: "1970-01-01T00:00:01.000Z" },
        ]);
        return true;
      },
    );
  });
});

test("a long list of candidates is cut in the message, not in the details", () => {
  const many = Array.from({ length: 8 }, (_, index) => createBackup(index + 1, { name: "same.tar" }));
  withBackups(many, (resolve) => {
    assert.throws(
      () => resolve("same.tar"),
      ({ message, details }: HoldfastError) =>
        message.endsWith(" and 3 more") && Array.isArray(details?.["candidates"]) && details["candidates"].length === 8,
    );
  });
});

test("the same name in two jobs is ambiguous; a job, a destination or a path with the folder tells them apart", () => {
  const duck = createBackup(1, { id: "duck-1", job: "duck", folder: "duck", name: "day.tar" });
  const luna = createBackup(2, { id: "luna-1", job: "luna", folder: "luna", name: "day.tar", destination: "offsite" });
  withBackups([duck, luna], (resolve) => {
    for (const text of ["day.tar", "day", "/elsewhere/day.tar", "/moonluna/day.tar"])
      assert.throws(() => resolve(text), { code: "ambiguous-name" }, text);
    assert.deepEqual(resolve("day.tar", { job: "duck" }), duck);
    assert.deepEqual(resolve("day.tar", { destination: "offsite" }), luna);
    assert.deepEqual(resolve("luna/day.tar"), luna);
    assert.deepEqual(resolve("/var/backups/duck/day.tar"), duck);
  });
  withBackups([duck, createBackup(3, { name: "day.tar" })], (resolve) => {
    assert.throws(() => resolve("day.tar"), { code: "ambiguous-name" }, "a bare name says nothing about the folder");
  });
});

test("an exact name wins over a longer one and over the beginning of an id", () => {
  const short = createBackup(1, { id: "id-one", name: "archive" });
  withBackups([short, createBackup(2, { id: "archive-2", name: "archive.tar" }), createBackup(3, { id: "archive" })], (resolve) => {
    assert.equal(resolve("archive").sequence, 3, "an id is exact");
    assert.deepEqual(resolve("archive", { job: "nightly" }).sequence, 3);
  });
  withBackups([short, createBackup(2, { id: "archive-2", name: "archive.tar" })], (resolve) => assert.deepEqual(resolve("archive"), short));
});

test("D14 of copies one that is there and intact is taken", () => {
  const damaged = createBackup(1, { damaged: "bit rot" });
  const missing = createBackup(1, { destination: "nas", missingSinceMs: 5 });
  const intact = createBackup(1, { destination: "offsite" });
  withBackups([missing, damaged, intact], (resolve) => {
    assert.deepEqual(resolve(intact.name), intact);
    assert.deepEqual(resolve(intact.name, { destination: "nas" }), missing);
  });
  withBackups([missing, damaged], (resolve) => assert.deepEqual(resolve(intact.id), damaged));
});

test("latest is the newest backup that is ok, verified, intact, there and not suspect, unless accepted", () => {
  const good = createBackup(1);
  const bad: Partial<CatalogBackup>[] = [
    { status: "partial" },
    { verifiedAtMs: null },
    { damaged: "bit rot" },
    { missingSinceMs: 5 },
    { class: "pre-restore" },
    { suspect: ["small"] },
  ];
  withBackups([good, ...bad.map((facts, index) => createBackup(index + 2, facts))], (resolve) => assert.deepEqual(resolve("latest"), good));
  for (const facts of bad) {
    withBackups([createBackup(1, facts)], (resolve) => {
      assert.throws(
        () => resolve("latest"),
        { code: "backup-not-found", message: "There is no good, verified backup" },
        JSON.stringify(facts),
      );
    });
  }
  const accepted = createBackup(9, { suspect: ["small"], accepted: "known" });
  withBackups([good, accepted], (resolve) => assert.deepEqual(resolve("latest"), accepted));
});

test("latest of several jobs is ambiguous until one is named", () => {
  withBackups([createBackup(1), createBackup(2, { job: "weekly" }), createBackup(3, { destination: "offsite" })], (resolve) => {
    assert.throws(() => resolve("latest"), {
      code: "ambiguous-name",
      message: '"latest" fits 2 jobs: nightly, weekly',
      hint: "Name the job.",
    });
    assert.equal(resolve("latest", { job: "weekly" }).sequence, 2);
    assert.equal(resolve("latest", { job: "nightly", destination: "local" }).sequence, 1);
    assert.equal(resolve("latest", { destination: "offsite" }).sequence, 3);
  });
});
