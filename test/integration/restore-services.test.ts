import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { finishRestores } from "../../src/operations/finish-restore.ts";
import { readRestoreJournal } from "../../src/operations/restore-journal.ts";
import type { RestoreServices } from "../../src/operations/restore-services.ts";
import { runRestore } from "../../src/operations/restore.ts";
import { createShellHook as hook, useDirectHooks } from "../support/direct-hooks.ts";
import { hasCode, journalOf } from "../support/restore-journals.ts";
import { useSavedWorld } from "../support/saved-world.ts";
import { copyWorld, describeRestore, never, quietPorts, readData, worldPaths, type SmallWorld } from "../support/small-world.ts";

describe("the server of what is restored", () => {
  useDirectHooks();
  const saved = useSavedWorld();

  const describeServer = ({ root }: SmallWorld, stop: string): { readonly up: string; readonly services: RestoreServices } => {
    const up = join(root, "server-up");
    writeFileSync(up, "");
    const services: RestoreServices = {
      datastores: ["loose"],
      holds: [],
      stop: [hook(stop.replaceAll("UP", up))],
      start: [hook(`: > '${up}'`)],
      ask: [{ ...hook(`test -e '${up}'`), answer: "status" }],
    };
    return { up, services };
  };

  test("G6 whose stop succeeds and stops nothing: nothing is replaced under it", async () => {
    await using copy = copyWorld(saved.world);
    const old = readData(copy);
    const { up, services } = describeServer(copy, "true");
    const failed = runRestore({ ...describeRestore(copy, saved.backup, ["loose"]), services }, quietPorts, never);
    await assert.rejects(failed, hasCode("restore-failed"));
    await assert.rejects(failed, /has been stopped, and is running/);
    assert.equal(readData(copy), old);
    assert.ok(existsSync(up));
    assert.ok(existsSync(worldPaths(copy.root).running));
  });

  test("G6 which somebody starts while what is there is saved: nothing is replaced under it", async () => {
    await using copy = copyWorld(saved.world);
    const old = readData(copy);
    const { up, services } = describeServer(copy, "rm -f 'UP'");
    const progress = ({ phase }: { readonly phase: string }): void => {
      if (phase === "saving the present data") writeFileSync(up, "");
    };
    const failed = runRestore({ ...describeRestore(copy, saved.backup, ["loose"]), services }, { ...quietPorts, progress }, never);
    await assert.rejects(failed, /has been stopped, and is running/);
    assert.equal(readData(copy), old);
  });

  test("F59 G6 is started again after a crash, and that the application stays stopped is told all the same", async () => {
    await using copy = copyWorld(saved.world);
    const setup = { ...describeRestore(copy, saved.backup, ["loose"]), start: [] };
    const { up, services } = describeServer(copy, "rm -f 'UP'");
    await runRestore({ ...setup, services }, quietPorts, never);
    const [begin] = await readRestoreJournal(setup.journalDir, setup.restoreId);
    assert.ok(begin?.type === "begin");
    // Killed when it had stopped both.
    const path = journalOf(setup);
    writeFileSync(path, `${readFileSync(path, "utf8").split("\n")[0] ?? ""}\n{"type":"stopping"}\n`);
    rmSync(up);
    const [finished] = await finishRestores(setup.journalDir, quietPorts, never);
    assert.ok(existsSync(up));
    assert.match(finished?.message ?? "", /the data is as it was before the restore, but the application stays stopped/);
    assert.match(finished?.unwell ?? "", /stays stopped/);
  });
});
