import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { fc } from "../support/properties.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import { readSeed } from "../support/fault-points.ts";
import {
  generatedDatabase,
  generatedFiles,
  generatedKeys,
  generatedServed,
  openGeneratedLoose,
  openGeneratedPostgres,
  openGeneratedRedis,
  openGeneratedSqlite,
  openGeneratedTree,
  type GeneratedStore,
} from "../support/generated-data.ts";
import { isLong } from "../support/kill-campaign.ts";
import { openRestoreBed, type RestoreBed } from "../support/restore-bed.ts";

const timeout = isLong ? 3_600_000 : 120_000;

const describeContents = ({ manifest }: BackupResult): unknown =>
  manifest.members.map(({ status, contents: { counts, digests } }) => ({ status, counts, digests }));

/** One round from any state to any other: the backup's state comes back, a backup of it is equal, and the undo brings back what was there. */
async function goRound<State>(store: GeneratedStore<State>, bed: RestoreBed, backedUp: State, present: State | undefined): Promise<void> {
  const stores = { store: store.options };
  await store.make(backedUp);
  const before = store.read();
  const backup = await bed.backup(stores);
  assert.equal(store.read(), before, "a backup changes nothing");
  await store.make(present);
  const former = store.read();
  const { preRestore } = await bed.restore(backup, stores);
  assert.equal(store.read(), before, "the restore");
  assert.deepEqual(describeContents(await bed.backup(stores)), describeContents(backup), "a backup of what was restored");
  assert.ok(preRestore !== undefined, "what was there is saved, absence included");
  const undone = await bed.restore(preRestore, stores);
  assert.equal(store.read(), former, "the undo");
  // And the undo of the undo is the restore.
  assert.ok(undone.preRestore !== undefined);
  await bed.restore(undone.preRestore, stores);
  assert.equal(store.read(), before, "the undo of the undo");
}

async function runProperty<State>(
  t: TestContext,
  store: GeneratedStore<State>,
  states: fc.Arbitrary<State>,
  runs: { readonly bounded: number; readonly long: number },
): Promise<void> {
  await using opened = store;
  await using bed = await openRestoreBed(opened.kind);
  const seed = readSeed();
  t.diagnostic(`HOLDFAST_SEED=${seed}`);
  const property = fc.asyncProperty(states, fc.option(states, { nil: undefined, freq: 3 }), (backedUp, present) =>
    goRound(opened, bed, backedUp, present === undefined ? present : (opened.follow?.(present, backedUp) ?? present)),
  );
  await fc.assert(property, { seed, numRuns: isLong ? runs.long : runs.bounded, endOnFailure: !isLong });
}

const title = (kind: string): string =>
  `F62 D6 prop-P4 G6 ${kind}: backup ∘ restore ∘ backup has equal contents, and undo ∘ restore is the identity, absence included`;

test(title("a tree"), { timeout }, async (t) => {
  await runProperty(t, await openGeneratedTree(), generatedFiles, { bounded: 3, long: 200 });
});
test(title("loose files"), { timeout }, async (t) => {
  const some = generatedFiles.filter((files) => files.some(({ path, form }) => /^[^/]*\.bin$/.test(path) && form === "file"));
  await runProperty(t, await openGeneratedLoose(), some, { bounded: 3, long: 200 });
});
test(title("SQLite"), { timeout }, async (t) => {
  await runProperty(t, await openGeneratedSqlite(), generatedDatabase, { bounded: 1, long: 60 });
});
test(title("PostgreSQL"), { timeout }, async (t) => {
  await runProperty(t, await openGeneratedPostgres({}), generatedServed, { bounded: 1, long: 40 });
});
if (isLong) {
  test(title("PostgreSQL, plain"), { timeout }, async (t) => {
    await runProperty(t, await openGeneratedPostgres({ format: "plain" }), generatedServed, { bounded: 1, long: 20 });
  });
}
test(title("Redis"), { timeout }, async (t) => {
  await runProperty(t, await openGeneratedRedis(["appendonly yes"]), generatedKeys, { bounded: 1, long: 60 });
});
