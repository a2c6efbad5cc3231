import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { HoldfastError } from "../../src/base/errors.ts";
import { finishRestores } from "../../src/operations/finish-restore.ts";
import { runRestore } from "../../src/operations/restore.ts";
import type { RestoreSetup } from "../../src/operations/restore-setup.ts";
import { createShellHook as hook, useDirectHooks } from "../support/direct-hooks.ts";
import { hasCode, journalOf } from "../support/restore-journals.ts";
import { useSavedWorld } from "../support/saved-world.ts";
import { copyWorld, describeRestore, never, quietPorts, readData, worldPaths, type SmallWorld } from "../support/small-world.ts";

describe("a restore that fails", () => {
  useDirectHooks();
  const saved = useSavedWorld();
  const checkOf = (script: string) => ({ kind: "command" as const, ...hook(script), retryForMs: 0 });

  test("F55 G6 whose application is not well on the new data is rolled back though stopping it fails as well", async () => {
    await using copy = copyWorld(saved.world);
    const { running } = worldPaths(copy.root);
    const old = readData(copy);
    const setup = describeRestore(copy, saved.backup, ["loose"]);
    const { loose } = worldPaths(copy.root);
    const runsOnOld = hook(`: > '${running}'; if test -e '${loose}/three.bin'; then cp '${loose}/three.bin' '${running}'; fi`);
    const check = [checkOf(`rm '${running}'; exit 1`)];
    await assert.rejects(runRestore({ ...setup, start: [runsOnOld], check }, quietPorts, never), hasCode("restore-failed"));
    assert.equal(readData(copy), old);
    assert.equal(readFileSync(running, "utf8"), "new three");
    assert.deepEqual(await finishRestores(setup.journalDir, quietPorts, never), []);
  });

  test("F55 G6 whose application cannot be started again: the data that was put back is not touched by the next start", async () => {
    await using copy = copyWorld(saved.world);
    const { running, loose } = worldPaths(copy.root);
    const setup = describeRestore(copy, saved.backup, ["loose"]);
    const [ran, later] = [join(copy.root, "ran"), join(copy.root, "can-start")];
    const start = [hook(`if test -e '${later}'; then : > '${running}'; else mkdir '${ran}'; fi`)];
    const check = [checkOf("exit 1")];
    await assert.rejects(runRestore({ ...setup, start, check }, quietPorts, never), hasCode("restore-stuck"));
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

  test("F59 G6 that was not to start the application says that it stays stopped, also after a crash", async () => {
    await using copy = copyWorld(saved.world);
    const { running } = worldPaths(copy.root);
    const setup = { ...describeRestore(copy, saved.backup, ["loose"]), start: [] };
    const old = readData(copy);
    const failed = runRestore({ ...setup, stop: [...setup.stop, hook("exit 1")] }, quietPorts, never);
    await assert.rejects(failed, (error: unknown) => {
      assert.ok(error instanceof HoldfastError);
      assert.match(error.message, /what was stopped stays stopped, because nothing was to start it/);
      assert.match(error.hint ?? "", /^Start the application by hand\./);
      return true;
    });
    assert.equal(readData(copy), old);
    assert.equal(existsSync(running), false);
    const begin = { type: "begin", at: "", id: "crashed", backup: "b", job: "nightly", datastores: ["loose"], start: [], stop: setup.stop };
    writeFileSync(join(setup.journalDir, "crashed.restore.jsonl"), `${JSON.stringify(begin)}\n{"type":"stopping"}\n`);
    const [finished] = await finishRestores(setup.journalDir, quietPorts, never);
    assert.equal(finished?.outcome, "rolled-back");
    assert.match(finished.message, /the data is as it was before the restore, but the application stays stopped/);
    assert.match(finished.unwell ?? "", /stays stopped/);
  });

  test("F59 G6 a start command that always fails is told, and does not keep later restores from their work", async () => {
    await using copy = copyWorld(saved.world);
    const setup = describeRestore(copy, saved.backup, ["loose"]);
    const before = readData(copy);
    const failing = { ...setup, stop: [...setup.stop, hook("exit 1")], start: [hook("exit 1")], check: [] };
    await assert.rejects(runRestore(failing, quietPorts, never), (error: unknown) => {
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
    await runRestore({ ...describeRestore(copy, saved.backup, ["loose"]), start: [], stop: [], check: [] }, quietPorts, never);
  });

  test("F59 the present data that could not be saved stays aside, also when the restore is ended after a crash", async () => {
    await using copy = copyWorld(saved.world);
    const setup = describeRestore(copy, saved.backup, ["loose"]);
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
    await using copy = copyWorld(saved.world);
    const { loose } = worldPaths(copy.root);
    writeFileSync(join(loose, "half.bin"), "no whole line");
    const setup = describeRestore(copy, saved.backup, ["loose"]);
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
    await using copy = copyWorld(saved.world);
    const setup = describeRestore(copy, saved.backup, ["loose"]);
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
