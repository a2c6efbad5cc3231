import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createRunBed, freezeTask, type RunBed } from "../support/daemon-runs.ts";
import { execute, query } from "../support/sqlite.ts";

interface Detached {
  readonly task: string;
}
interface Plan {
  readonly rows: readonly { readonly name: string; readonly action: string; readonly reasons: readonly string[] }[];
}

const values = (bed: RunBed, name: string): unknown => query(join(bed.dir, `data/${name}.db`), "SELECT group_concat(a) FROM t");
const put = (bed: RunBed, name: string, value: string): void =>
  execute(join(bed.dir, `data/${name}.db`), `DELETE FROM t; INSERT INTO t VALUES ('${value}')`);
const makeBackup = async (bed: RunBed): Promise<string> =>
  (await bed.json<{ readonly details: { readonly name: string } }>(["backup", "nightly"])).details.name;

test("F61 G6 a restore that waits while its datastore comes to mean another place is refused, and neither place is touched", async () => {
  await using bed = await createRunBed("  nightly: { datastores: [one], destination: local }\n");
  await bed.start();
  put(bed, "one", "old");
  const name = await makeBackup(bed);
  put(bed, "one", "new");
  put(bed, "two", "other");
  await bed.json(["pause"]);
  const { task } = await bed.json<Detached>(["restore", name, "--yes", "--detach"]);
  await bed.writeConfig(readFileSync(bed.configPath, "utf8").replaceAll("one.db", "two.db"));
  await bed.json(["reload"]);
  await bed.json(["resume"]);
  const end = await bed.end(task);
  assert.equal(end.state, "failed");
  assert.match(JSON.stringify(end), /The config of \\"one\\" has changed since this restore was asked for/);
  assert.deepEqual([values(bed, "one"), values(bed, "two")], ["new", "other"]);
});

test("F60 G2 G3 while a restore reads: retention and deletion leave its backup alone; a backup and another restore wait for it", async () => {
  const job = `  nightly: { datastores: [one], destination: local, retention: { keepLast: 1 } }\n`;
  await using bed = await createRunBed(job.replace(", retention: { keepLast: 1 }", ""));
  await bed.start();
  const names: string[] = [];
  for (const value of ["first", "second", "third"]) {
    put(bed, "one", value);
    names.push(await makeBackup(bed));
  }
  const [first = "", , third = ""] = names;
  await bed.writeConfig(readFileSync(bed.configPath, "utf8").replace(/^ {2}nightly: .*\n/m, job));
  await bed.json(["reload"]);
  put(bed, "one", "fourth");

  const restore = await bed.json<Detached>(["restore", first, "--yes", "--detach"]);
  using frozen = await freezeTask(restore.task);
  const { rows } = await bed.json<Plan>(["prune", "nightly", "--plan"]);
  const readFirst = rows.find(({ name }) => name === first);
  assert.deepEqual([readFirst?.action, readFirst?.reasons.includes("in use")], ["keep", true], JSON.stringify(readFirst));
  await bed.json(["prune", "nightly", "--yes"]);
  assert.deepEqual(
    names.filter((name) => bed.stored("nightly").some((stored) => stored.startsWith(name))),
    [first, third],
  );
  const refused = await bed.holdfast(["delete", first, "--yes"]);
  assert.equal(refused.status, 7);
  assert.match(refused.stderr, /stays: it is in use/);
  const others = [await bed.json<Detached>(["restore", third, "--yes", "--detach"]), { task: await bed.ask("nightly") }];
  for (const { task } of others) {
    const waiting = await bed.task(task);
    assert.equal(waiting?.state, "waiting");
    assert.match(waiting.waitingBecause ?? "", /waiting because/);
  }
  assert.equal(values(bed, "one"), "fourth");

  frozen.thaw();
  const ends = await Promise.all([restore, ...others].map(({ task }) => bed.end(task)));
  assert.deepEqual(
    ends.map(({ state }) => state),
    ["done", "done", "done"],
  );
  const runs = (await bed.runs()).filter(({ taskId }) => [restore, ...others].some(({ task }) => task === taskId)).toReversed();
  assert.equal(runs.length, 3);
  for (const [index, run] of runs.slice(1).entries())
    assert.ok((run.startedAtMs ?? 0) >= (runs[index]?.finishedAtMs ?? Infinity), "one began before the other had ended");
  assert.equal(values(bed, "one"), "third");
  // Each restore has saved what it found; undone one after the other they lead back.
  assert.equal((await bed.holdfast(["undo", "--yes"])).status, 0);
  assert.equal(values(bed, "one"), "first");
});

test("L7 G6 a suspect or partial backup is not restored without the word, elsewhere neither; nothing is touched or stopped", async () => {
  await using bed = await createRunBed(
    `  nightly:
    datastores: [one, two]
    destination: local
    onMissing: skip
    shrink: { minHistory: 1 }
    retry: { attempts: 1 }
    restore: { stop: { shell: "touch DIR/stopped" } }
`,
  );
  await bed.writeConfig(readFileSync(bed.configPath, "utf8").replace("DIR", bed.dir));
  await bed.start();
  for (const name of ["one", "two"])
    execute(
      join(bed.dir, `data/${name}.db`),
      "INSERT INTO t WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<50) SELECT randomblob(9000) FROM c",
    );
  await makeBackup(bed);
  for (const name of ["one", "two"]) execute(join(bed.dir, `data/${name}.db`), "DELETE FROM t; VACUUM");
  const suspect = await bed.json<{ readonly details: { readonly name: string } }>(["backup", "nightly"], 3);
  renameSync(join(bed.dir, "data/two.db"), join(bed.dir, "data/away"));
  const partial = await bed.json<{ readonly details: { readonly name: string } }>(["backup", "nightly"], 3);
  renameSync(join(bed.dir, "data/away"), join(bed.dir, "data/two.db"));
  for (const name of ["one", "two"]) put(bed, name, "now");
  const files = ["one.db", "two.db"].map((name) => join(bed.dir, "data", name));
  const hash = (): readonly string[] => files.map((file) => createHash("sha256").update(readFileSync(file)).digest("hex"));
  const before = { hash: hash(), runs: (await bed.runs()).length, stored: bed.stored("nightly") };
  for (const [{ details }, doubt, ways] of [
    [suspect, "suspect", [[], ["--to", "scratch"], ["--to", join(bed.dir, "elsewhere")]]],
    [partial, "partial", [[], ["--only", "one"]]],
  ] as const) {
    for (const more of ways) {
      const { status, stderr } = await bed.holdfast(["restore", details.name, "--yes", ...more]);
      assert.equal(status, 7, `${doubt} ${more.join(" ")}: ${stderr}`);
      assert.match(stderr, new RegExp(`${details.name} is .*${doubt}`));
      assert.match(stderr, /--accept-doubtful/);
    }
  }
  assert.deepEqual({ hash: hash(), runs: (await bed.runs()).length, stored: bed.stored("nightly") }, before);
  assert.throws(() => readFileSync(join(bed.dir, "stopped")), { code: "ENOENT" });
  assert.throws(() => readFileSync(join(bed.dir, "elsewhere")), { code: "ENOENT" });
  // With the word each is taken as it is, and can be undone.
  const accepted = await bed.holdfast(["restore", partial.details.name, "--yes", "--accept-doubtful"]);
  assert.equal(accepted.status, 0, accepted.stderr);
  assert.deepEqual([values(bed, "one"), values(bed, "two")], [null, "now"]);
  assert.equal((await bed.holdfast(["undo", "--yes"])).status, 0);
  assert.equal(values(bed, "one"), "now");
});
