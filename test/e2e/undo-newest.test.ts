import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createRunBed, type RunBed } from "../support/daemon-runs.ts";
import { refuse, run } from "../support/run-holdfast.ts";
import { execute, query } from "../support/sqlite.ts";

interface Ended {
  readonly details: { readonly restoreId: string };
}

const open = async (): Promise<RunBed & { readonly path: string; read(): unknown; write(value: string): void }> => {
  const bed = await createRunBed("  nightly: { datastores: [one, two], destination: local }\n");
  await bed.start();
  const path = join(bed.dir, "data/one.db");
  return {
    ...bed,
    path,
    read: () => query(path, "SELECT group_concat(a) FROM t"),
    write: (value) => execute(path, `DELETE FROM t; INSERT INTO t VALUES ('${value}')`),
  };
};
const restoreOne = ["restore", "latest", "--job", "nightly", "--only", "one", "--yes"];

test("D6 G6 the newest restore could not be saved before: undo without an id is refused, and does not take the older one", async () => {
  await using bed = await open();
  bed.write("old");
  await run(bed, "backup", "nightly");
  rmSync(bed.path);
  const { details: a } = await bed.json<Ended>(restoreOne);
  writeFileSync(bed.path, "garbage");
  const { details: b } = await bed.json<Ended>([...restoreOne, "--unsavable", "raw"]);
  const before = readFileSync(bed.path);
  for (const args of [["undo", "--yes"], ["undo", "--plan"], ["undo"]]) {
    const said = await refuse(bed, 7, ...args);
    assert.match(
      said,
      new RegExp(`The newest restore, ${b.restoreId} of \\S+ \\(one, \\d{4}-.*\\), cannot be undone: .*could not be saved`),
    );
    assert.match(said, new RegExp(`on purpose: \`holdfast undo ${a.restoreId}\` .* takes away what ${b.restoreId} has restored into one`));
  }
  await assert.rejects(bed.client.send({ method: "POST", path: "/undo", body: {} }, AbortSignal.timeout(10_000)), {
    code: "refused",
    message: new RegExp(`The newest restore, ${b.restoreId} `),
  });
  assert.deepEqual(readFileSync(bed.path), before);
  // By its id, on purpose.
  await run(bed, "undo", a.restoreId, "--yes");
  assert.throws(() => readFileSync(bed.path), { code: "ENOENT" });
});

test("D6 D10 a restore was made offline since: undo without an id is refused", async () => {
  await using bed = await open();
  bed.write("old");
  await run(bed, "backup", "nightly");
  bed.write("new");
  const { details: a } = await bed.json<Ended>(restoreOne);
  bed.write("newer");
  await run(bed, "restore", "--offline", join(bed.dir, "backups"), "--latest", "--only", "one", "--yes");
  const said = await refuse(bed, 7, "undo", "--yes");
  assert.match(
    said,
    /The newest restore, \w+ of \S+ \(one, \d{4}-.*\), was made offline, so it cannot be undone here: .* saved as pre_restore_/,
  );
  assert.match(said, new RegExp(`holdfast undo ${a.restoreId}`));
  assert.equal(bed.read(), "old");
});

test("D6 the undo of an undo says so first, and what it brings back", async () => {
  await using bed = await open();
  bed.write("old");
  await run(bed, "backup", "nightly");
  bed.write("new");
  const { details: a } = await bed.json<Ended>(restoreOne);
  assert.match(
    (await bed.holdfast(["undo", "--plan"])).stdout,
    new RegExp(`^Undoes the restore ${a.restoreId} of nightly\\S+ \\(one, \\d{4}-\\S+\\)\\.\n`),
  );
  const { details: b } = await bed.json<Ended>(["undo", "--yes"]);
  assert.equal(bed.read(), "new");
  const back = `what the restore ${a.restoreId} of nightly\\S+ had restored`;
  const first = new RegExp(`^Undoes the undo ${b.restoreId} \\(one, \\d{4}-\\S+\\): brings back ${back}\\.\n`);
  assert.match((await bed.holdfast(["undo", "--plan"])).stdout, first);
  const again = await bed.holdfast(["undo", "--yes"]);
  assert.equal(again.status, 0, again.stderr);
  assert.match(again.stderr, first);
  assert.match(again.stdout, new RegExp(`^An undo is undone: back is ${back}\\.$`, "m"));
  assert.equal(bed.read(), "old");
  assert.match((await bed.holdfast(["undo", "--plan"])).stdout, /brings back once more what was there before the restore/);
});
