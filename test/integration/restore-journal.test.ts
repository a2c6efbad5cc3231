import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { assertNoneUnfinished } from "../../src/operations/find-blocking.ts";
import { finishRestores } from "../../src/operations/finish-restore.ts";
import {
  createRestoreJournal,
  findUnfinishedRestores,
  resumeRestoreJournal,
  type RestoreRecord,
} from "../../src/operations/restore-journal.ts";
import type { RestoreSetup } from "../../src/operations/restore-setup.ts";
import { checkInvariants, restartWorld } from "../support/check-invariants.ts";
import { isLong, makeCompileCache } from "../support/kill-campaign.ts";
import { listKillPoints, operate } from "../support/kill-points.ts";
import {
  backUp,
  changeWorld,
  copyWorld,
  describeRestore,
  makeWorld,
  never,
  quietPorts,
  readData,
  worldPaths,
  type DatastoreName,
  type SmallWorld,
} from "../support/small-world.ts";
import { startProgram } from "../support/sqlite.ts";
import { hasCode, journalOf } from "../support/restore-journals.ts";

const begin: RestoreRecord = { type: "begin", at: "now", id: "r", backup: "b", job: "j", datastores: ["memory"], start: [], stop: [] };

describe("every prefix of a restore's journal", () => {
  const cache = makeCompileCache();
  after(() => cache[Symbol.dispose]());
  const inUse = async (world: SmallWorld) => await startProgram("sqlite-holder.ts", [worldPaths(world.root).database]);
  const nobody = async (): Promise<AsyncDisposable> => ({ [Symbol.asyncDispose]: () => Promise.resolve() });

  for (const { title, datastores, accompany } of [
    { title: "a closed SQLite database", datastores: ["memory"], accompany: nobody },
    { title: "a SQLite database in use", datastores: ["memory"], accompany: inUse },
    { title: "a tree and loose files", datastores: ["tree", "loose"], accompany: nobody },
  ] satisfies { title: string; datastores: DatastoreName[]; accompany: typeof nobody | typeof inUse }[]) {
    test(`F59 prop-P4 G6 ${title}: ended from it all is old or all is new, and ending it again changes nothing`, async (t) => {
      await using world = await makeWorld();
      const backup = await backUp(world, "directory", datastores);
      changeWorld(world);
      const old = readData(world);
      const points = await (async () => {
        await using clean = copyWorld(world);
        await using _application = await accompany(clean);
        return await listKillPoints(clean, "restore", describeRestore(clean, backup, datastores), cache.path);
      })();
      // The first record is `begin`: the journal is durable when datasync has come back.
      const records = points.filter(({ call }) => call === "datasync");
      assert.ok(records.length > 6, `${records.length} records`);
      let fresh = "";
      for (const [index, point] of records.entries()) {
        const cuts = index === records.length - 1 ? ["whole"] : isLong ? ["whole", "torn"] : [index % 2 === 0 ? "whole" : "torn"];
        for (const cut of cuts) {
          const where = `after record ${index}, ${cut}`;
          await using copy = copyWorld(world);
          await using _application = await accompany(copy);
          const setup = describeRestore(copy, backup, datastores);
          const run = await operate(copy, "restore", setup, { at: { point, fault: "after" }, cache: cache.path });
          assert.equal(run.outcome, "killed", where);
          const types = readTypes(setup);
          if (cut === "torn") tearLast(setup);
          const committed = types.includes("committed") && !(cut === "torn" && types.at(-1) === "committed");
          await restartWorld(copy, run.marker);
          if (committed) fresh = readData(copy);
          const expected = { where, acknowledged: [backup.manifest.id], possible: "any", marker: run.marker, proof: "verify" } as const;
          await checkInvariants(copy, { ...expected, data: committed ? [fresh] : [old] });
          assert.notEqual(committed ? fresh : "", old, where);
          // A record that came back torn leaves the end to the second look at the latest; from then on nothing is done.
          assert.deepEqual(await finishRestores(worldPaths(copy.root).journals, quietPorts, never), [], where);
        }
      }
      t.diagnostic(`${records.length} records`);
    });
  }
});

function readTypes(setup: RestoreSetup): readonly string[] {
  const lines = readFileSync(journalOf(setup), "utf8")
    .split("\n")
    .filter((line) => line !== "");
  return lines.map((line) => (JSON.parse(line) as RestoreRecord).type);
}

/** As a power cut may leave it: half of the last record. What it announced had not begun. */
function tearLast(setup: RestoreSetup): void {
  const text = readFileSync(journalOf(setup), "utf8").trimEnd();
  const last = text.lastIndexOf("\n") + 1;
  writeFileSync(journalOf(setup), text.slice(0, last + Math.floor((text.length - last) / 2)));
}

describe("a restore's journal", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "journal-"));
  });
  after(() => rmSync(directory, { recursive: true }));
  const openPlace = (t: TestContext): string => {
    const place = mkdtempSync(join(directory, "j-"));
    t.after(() => rmSync(place, { recursive: true, force: true }));
    return place;
  };

  test("F59 goes on after a torn record, so that its end is read as such", async (t) => {
    const place = openPlace(t);
    {
      await using journal = await createRestoreJournal(place, "r");
      await journal.append(begin);
      await journal.append({ type: "stopping" });
    }
    const path = join(place, "r.restore.jsonl");
    writeFileSync(path, `${readFileSync(path, "utf8").trimEnd()}\n{"type":"st`);
    {
      await using journal = await resumeRestoreJournal(place, "r");
      await journal.append({ type: "end", at: "now", outcome: "rolled-back", message: "" });
    }
    assert.deepEqual(await findUnfinishedRestores(place), { unfinished: [], unreadable: [] });
  });

  test("F59 of another version, or damaged in its middle, is never acted upon: no restore begins beside it", async (t) => {
    const place = openPlace(t);
    const lines = (...values: readonly unknown[]): string => `${values.map((value) => JSON.stringify(value)).join("\n")}\n`;
    writeFileSync(join(place, "newer.restore.jsonl"), lines(begin, { type: "swapped-twice" }, { type: "committed", settle: true }));
    writeFileSync(join(place, "field.restore.jsonl"), lines(begin, { type: "committed", settle: true, unless: "x" }));
    writeFileSync(join(place, "torn.restore.jsonl"), `${lines(begin)}{"type":"st\n${lines({ type: "committed", settle: true })}`);
    writeFileSync(join(place, "headless.restore.jsonl"), lines({ type: "committed", settle: true }));
    const { unfinished, unreadable } = await findUnfinishedRestores(place);
    assert.deepEqual(unfinished, []);
    assert.deepEqual(
      unreadable.map(({ id, error }) => [id, error.code]),
      [
        ["field", "state-newer"],
        ["headless", "state-corrupt"],
        ["newer", "state-newer"],
        ["torn", "state-corrupt"],
      ],
    );
    const finished = await finishRestores(place, quietPorts, never);
    assert.deepEqual(new Set(finished.map(({ outcome }) => outcome)), new Set(["failed"]));
    await assert.rejects(assertNoneUnfinished(place, [{ name: "other", key: undefined }]), hasCode("restore-stuck"));
  });

  test("F59 steps of an unknown kind of datastore are reported and kept", async (t) => {
    const place = openPlace(t);
    {
      await using journal = await createRestoreJournal(place, "r");
      await journal.append(begin);
      await journal.append({ type: "step", datastore: "memory", kind: "of-tomorrow", step: { op: "move" } });
    }
    const [first] = await finishRestores(place, quietPorts, never);
    assert.equal(first?.outcome, "failed");
    assert.equal((await findUnfinishedRestores(place)).unfinished.length, 1);
    await assert.rejects(assertNoneUnfinished(place, [{ name: "memory", key: undefined }]), hasCode("restore-stuck"));
    await assertNoneUnfinished(place, [{ name: "other", key: undefined }]);
  });

  test("F1 F59 an application that the machine may have started since is stopped before its data is put back", async (t) => {
    const place = openPlace(t);
    const did = join(place, "did");
    const hook = (word: string) => ({ command: ["/bin/sh", "-c", `echo ${word} >> '${did}'`], timeoutMs: 20_000 });
    const before = process.env["HOLDFAST_HOOKS"];
    process.env["HOLDFAST_HOOKS"] = "direct";
    t.after(() => {
      if (before === undefined) delete process.env["HOLDFAST_HOOKS"];
      else process.env["HOLDFAST_HOOKS"] = before;
    });
    {
      await using journal = await createRestoreJournal(place, "r");
      await journal.append({ ...begin, stop: [hook("stop")], start: [hook("start")] });
      await journal.append({ type: "stopping" });
    }
    const [first] = await finishRestores(place, quietPorts, never);
    assert.equal(first?.outcome, "rolled-back");
    assert.equal(readFileSync(did, "utf8"), "stop\nstart\n");
  });

  test("the same restore cannot begin twice", async (t) => {
    const place = openPlace(t);
    await (await createRestoreJournal(place, "r"))[Symbol.asyncDispose]();
    await assert.rejects(createRestoreJournal(place, "r"), hasCode("conflict"));
  });
});
