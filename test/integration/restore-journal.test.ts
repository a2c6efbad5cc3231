import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { HoldfastError } from "../../src/base/errors.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import { assertNoneUnfinished, finishRestores } from "../../src/operations/finish-restore.ts";
import {
  createRestoreJournal,
  findUnfinishedRestores,
  resumeRestoreJournal,
  type RestoreRecord,
} from "../../src/operations/restore-journal.ts";
import { runRestore, type RestoreSetup } from "../../src/operations/restore.ts";
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

function journalOf(setup: RestoreSetup): string {
  return join(setup.journalDir, `${setup.restoreId}.restore.jsonl`);
}

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
    await assert.rejects(assertNoneUnfinished(place, ["other"]), hasCode("restore-stuck"));
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
    await assert.rejects(assertNoneUnfinished(place, ["memory"]), hasCode("restore-stuck"));
    await assertNoneUnfinished(place, ["other"]);
  });

  test("the same restore cannot begin twice", async (t) => {
    const place = openPlace(t);
    await (await createRestoreJournal(place, "r"))[Symbol.asyncDispose]();
    await assert.rejects(createRestoreJournal(place, "r"), hasCode("conflict"));
  });
});

function hasCode(code: HoldfastError["code"]): (error: unknown) => boolean {
  return (error) => error instanceof HoldfastError && error.code === code;
}

describe("a restore that fails", () => {
  let world: SmallWorld & AsyncDisposable;
  let backup: BackupResult;
  let hooks: string | undefined;
  before(async () => {
    hooks = process.env["HOLDFAST_HOOKS"];
    process.env["HOLDFAST_HOOKS"] = "direct";
    world = await makeWorld();
    backup = await backUp(world, "directory", ["loose"]);
    changeWorld(world);
  });
  after(async () => {
    if (hooks === undefined) delete process.env["HOLDFAST_HOOKS"];
    else process.env["HOLDFAST_HOOKS"] = hooks;
    await world[Symbol.asyncDispose]();
  });
  const hook = (script: string) => ({ command: ["/bin/sh", "-c", script], timeoutMs: 20_000 });

  test("F55 G6 whose application does not start on the new data is rolled back though stopping it fails as well", async () => {
    await using copy = copyWorld(world);
    const { running } = worldPaths(copy.root);
    const old = readData(copy);
    const setup = describeRestore(copy, backup, ["loose"]);
    const { loose } = worldPaths(copy.root);
    const startsOnOld = hook(`test -e '${loose}/three.bin' && cp '${loose}/three.bin' '${running}'`);
    await assert.rejects(runRestore({ ...setup, start: [startsOnOld], check: [] }, quietPorts, never), hasCode("restore-failed"));
    assert.equal(readData(copy), old);
    assert.equal(readFileSync(running, "utf8"), "new three");
    assert.deepEqual(await finishRestores(setup.journalDir, quietPorts, never), []);
  });

  test("F55 G6 whose application cannot be started again: the data that was put back is not touched by the next start", async () => {
    await using copy = copyWorld(world);
    const { running, loose } = worldPaths(copy.root);
    const setup = describeRestore(copy, backup, ["loose"]);
    const later = join(copy.root, "can-start");
    const start = [hook(`test -e '${later}' && : > '${running}'`)];
    await assert.rejects(runRestore({ ...setup, start, check: [] }, quietPorts, never), hasCode("restore-stuck"));
    // A person starts the application, which goes on working and replaces its files by renaming.
    rmSync(join(loose, "one.bin"));
    writeFileSync(join(loose, "one.bin"), "work of today");
    const today = readData(copy);
    writeFileSync(later, "");
    const [finished] = await finishRestores(setup.journalDir, quietPorts, never);
    assert.equal(finished?.outcome, "rolled-back");
    assert.equal(readData(copy), today);
    assert.ok(existsSync(running));
  });

  test("F59 G6 a start command that always fails is told, and does not keep later restores from their work", async () => {
    await using copy = copyWorld(world);
    const setup = describeRestore(copy, backup, ["loose"]);
    const before = readData(copy);
    await assert.rejects(runRestore({ ...setup, start: [hook("exit 1")], check: [] }, quietPorts, never), (error: unknown) => {
      assert.ok(error instanceof HoldfastError);
      assert.match(error.message, /the data is as it was, but the application could not be started/);
      return true;
    });
    assert.equal(readData(copy), before);
    const told: string[] = [];
    const ports = { ...quietPorts, log: (_level: string, message: string) => void told.push(message) };
    const [finished] = await finishRestores(setup.journalDir, ports, never);
    assert.equal(finished?.outcome, "rolled-back");
    assert.match(told.join(" "), /could not be started/);
    assert.deepEqual(await finishRestores(setup.journalDir, quietPorts, never), []);
    await runRestore({ ...describeRestore(copy, backup, ["loose"]), start: [], stop: [], check: [] }, quietPorts, never);
  });

  test("F59 the present data that could not be saved stays aside, also when the restore is ended after a crash", async () => {
    await using copy = copyWorld(world);
    const setup = describeRestore(copy, backup, ["loose"]);
    const unsavable = { ...setup, unsavable: "raw" as const, preRestore: { ...setup.preRestore, destination: nowhere(copy) } };
    await runRestore(unsavable, quietPorts, never);
    const journal = journalOf(setup);
    const text = readFileSync(journal, "utf8").trimEnd();
    writeFileSync(journal, text.slice(0, text.lastIndexOf("\n") + 1)); // as if it had died before its end was noted
    const [finished] = await finishRestores(setup.journalDir, quietPorts, never);
    assert.equal(finished?.outcome, "done");
    const { loose } = worldPaths(copy.root);
    const kept = readdirSync(loose, { recursive: true, encoding: "utf8" }).filter(
      (name) => name.startsWith(".holdfast-") && name.includes("/"),
    );
    assert.ok(kept.length >= 3, `what was put aside is gone: ${kept.join(" ")}`);
  });

  test("F59 what a partial pre-restore backup had to leave out stays aside: an undo could not bring it back", async () => {
    await using copy = copyWorld(world);
    const { loose } = worldPaths(copy.root);
    writeFileSync(join(loose, "half.bin"), "no whole line");
    const setup = describeRestore(copy, backup, ["loose"]);
    const datastores = setup.preRestore.datastores.map((datastore) => ({
      ...datastore,
      options: { include: [join(loose, "*.bin")], lines: true },
    }));
    const told: string[] = [];
    const ports = { ...quietPorts, log: (_level: string, message: string) => void told.push(message) };
    const { preRestore } = await runRestore({ ...setup, preRestore: { ...setup.preRestore, datastores } }, ports, never);
    assert.equal(preRestore?.manifest.status, "partial");
    const kept = readdirSync(loose, { recursive: true, encoding: "utf8" })
      .filter((name) => name.startsWith(".holdfast-") && name.includes("/"))
      .map((name) => readFileSync(join(loose, name), "utf8"));
    assert.ok(kept.includes("no whole line"), `what was put aside is gone: ${kept.join(" ")}`);
    assert.match(told.join("\n"), /is partial/);
  });

  test("F59 W13 what was saved before a restore that a crash interrupted is told, so that it can be undone", async () => {
    await using copy = copyWorld(world);
    const setup = describeRestore(copy, backup, ["loose"]);
    const { preRestore } = await runRestore(setup, quietPorts, never);
    const journal = journalOf(setup);
    const text = readFileSync(journal, "utf8").trimEnd();
    writeFileSync(journal, text.slice(0, text.lastIndexOf("\n") + 1));
    const [finished] = await finishRestores(setup.journalDir, quietPorts, never);
    assert.deepEqual(finished?.preRestore, { destination: "local", id: preRestore?.manifest.id, name: preRestore?.manifest.name });
  });
});

function nowhere({ root }: SmallWorld): RestoreSetup["preRestore"]["destination"] {
  const path = join(root, "unmarked");
  mkdirSync(path);
  return { name: "nowhere", kind: "local", options: { path } };
}
