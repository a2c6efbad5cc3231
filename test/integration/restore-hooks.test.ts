import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Check } from "../../src/config/config.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import { finishRestores } from "../../src/operations/finish-restore.ts";
import { readRestoreJournal, type RestoreRecord } from "../../src/operations/restore-journal.ts";
import { runCheck } from "../../src/operations/run-check.ts";
import { runRestore } from "../../src/operations/restore.ts";
import type { RestoreSetup } from "../../src/operations/restore-setup.ts";
import { createShellHook as hook, useDirectHooks } from "../support/direct-hooks.ts";
import { hasCode, journalOf } from "../support/restore-journals.ts";
import {
  backUp,
  changeWorld,
  copyWorld,
  datastoreNames,
  describeRestore,
  makeWorld,
  never,
  quietPorts,
  readData,
  readTree,
  worldPaths,
  type SmallWorld,
} from "../support/small-world.ts";
import { waitUntil } from "../support/wait-until.ts";

describe("the hooks of a restore", () => {
  let world: SmallWorld & AsyncDisposable;
  let backup: BackupResult;
  let wanted: string;
  useDirectHooks();
  before(async () => {
    world = await makeWorld();
    wanted = readTree(worldPaths(world.root).loose);
    backup = await backUp(world, "archive", datastoreNames);
    changeWorld(world);
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
  });

  const ask = (script: string, more: Partial<Extract<Check, { kind: "command" }>> = {}): Check => ({
    kind: "command",
    ...hook(script),
    retryForMs: 0,
    ...more,
  });
  const sql = (statement: string, more: Partial<Extract<Check, { kind: "sql" }>>): Check => ({
    kind: "sql",
    sql: statement,
    datastore: "memory",
    timeoutMs: 10_000,
    retryForMs: 0,
    ...more,
  });
  const isRestored = ({ root }: SmallWorld): boolean => readTree(worldPaths(root).loose) === wanted;
  const readTypes = async (setup: RestoreSetup): Promise<readonly string[]> =>
    (await readRestoreJournal(setup.journalDir, setup.restoreId)).map(describeRecord);

  test("D11 G6 a start that fails twice leaves the restored, compared data in place and says so; what else can be started is", async () => {
    await using copy = copyWorld(world);
    const { root } = copy;
    const setup = describeRestore(copy, backup, ["loose"]);
    const tries = join(root, "tries");
    const start = [hook(`echo x >> '${tries}'; echo no licence >&2; exit 7`), hook(`: > '${root}/other'`)];
    const result = await runRestore({ ...setup, start, check: [ask(`touch '${root}/asked'; exit 1`)] }, quietPorts, never);
    assert.match(result.unstarted ?? "", /exited with 7: no licence/);
    assert.equal(result.unhealthy, undefined);
    assert.equal(readFileSync(tries, "utf8"), "x\nx\n");
    assert.ok(existsSync(join(root, "other")));
    assert.ok(!existsSync(join(root, "asked")), "nobody is asked who does not run");
    assert.ok(isRestored(copy));
    const records = await readRestoreJournal(setup.journalDir, setup.restoreId);
    const committed = records.find((record) => record.type === "committed");
    assert.match(committed?.unstarted ?? "", /no licence/);
    assert.deepEqual(records.at(-1)?.type, "end");
    assert.ok(result.preRestore !== undefined, "it can be undone");
  });

  test("D11 a start that works at its second try is a start", async () => {
    await using copy = copyWorld(world);
    const setup = describeRestore(copy, backup, ["loose"]);
    const { running } = worldPaths(copy.root);
    const once = join(copy.root, "once");
    const result = await runRestore({ ...setup, start: [hook(`mkdir '${once}' && exit 1; : > '${running}'`)] }, quietPorts, never);
    assert.equal(result.unstarted, undefined);
    assert.ok((await readTypes(setup)).includes("reached started"));
  });

  test("D5 G6 a stop that fails: the restore does not begin, nothing was touched, the application is started again", async () => {
    await using copy = copyWorld(world);
    const old = readData(copy);
    const setup = describeRestore(copy, backup, ["loose"]);
    const { running, vault } = worldPaths(copy.root);
    const stop = [...setup.stop, hook("echo busy >&2; exit 1")];
    await assert.rejects(runRestore({ ...setup, stop }, quietPorts, never), {
      code: "restore-failed",
      message: /the restore did not begin, nothing was touched: The stop command .* failed: it exited with 1: busy/,
    });
    assert.equal(readData(copy), old);
    assert.ok(existsSync(running));
    assert.deepEqual(
      readdirSync(vault, { recursive: true, encoding: "utf8" }).filter((name) => name.includes("pre_")),
      [],
    );
  });

  test("D11 W9 G6 a check that fails rolls back; with --keep the data stays, is committed, and every failure is told", async () => {
    await using copy = copyWorld(world);
    const old = readData(copy);
    const check = [ask("echo first >&2; exit 1"), ask("true"), ask("echo third >&2; exit 2")];
    const refused = { ...describeRestore(copy, backup, ["loose"]), check };
    await assert.rejects(runRestore(refused, quietPorts, never), { code: "restore-failed", message: /the data is as it was.*first/ });
    assert.equal(readData(copy), old);
    const kept: RestoreSetup = { ...describeRestore(copy, backup, ["loose"]), check, keep: "yes" };
    const result = await runRestore(kept, quietPorts, never);
    assert.match(result.unhealthy ?? "", /first.*; .*third/);
    assert.ok(isRestored(copy));
    const types = await readTypes(kept);
    assert.ok(types.includes("committed") && !types.includes("reached healthy"));
  });

  test("F59 G6 --keep keeps nothing of a restore that is cancelled during its checks, or during its start", async () => {
    for (const part of ["start", "check"] as const) {
      await using copy = copyWorld(world);
      const old = readData(copy);
      const setup: RestoreSetup = { ...describeRestore(copy, backup, ["loose"]), keep: "yes" };
      const begun = join(copy.root, "begun");
      const { running } = worldPaths(copy.root);
      // Only the first time: the roll-back starts the application again.
      const slow = `if mkdir '${begun}'; then sleep 100; else : > '${running}'; fi`;
      const stuck = part === "start" ? { start: [hook(slow)] } : { check: [ask(slow)] };
      const cancel = new AbortController();
      const restoring = runRestore({ ...setup, ...stuck }, quietPorts, cancel.signal);
      const rejected = assert.rejects(restoring, hasCode("restore-failed"));
      await waitUntil("the hook", () => existsSync(begun));
      cancel.abort();
      await rejected;
      assert.equal(readData(copy), old, part);
      assert.ok(existsSync(running), part);
    }
  });

  test("F59 a restore that a crash interrupted after its data was kept is done, and says what is not well", async () => {
    await using copy = copyWorld(world);
    const setup = describeRestore(copy, backup, ["loose"]);
    await runRestore({ ...setup, start: [hook("exit 1")], check: [] }, quietPorts, never);
    const text = readFileSync(journalOf(setup), "utf8").trimEnd();
    writeFileSync(journalOf(setup), text.slice(0, text.lastIndexOf("\n") + 1));
    const [finished] = await finishRestores(setup.journalDir, quietPorts, never);
    assert.equal(finished?.outcome, "done");
    assert.match(finished?.message ?? "", /the restored data is in place, but the application could not be started/);
    assert.match(finished?.unwell ?? "", /could not be started/);
    assert.ok(isRestored(copy));
  });

  test("A14 the operator's own questions to the restored database: what must come back, at least, at most, anything", async () => {
    await using copy = copyWorld(world);
    const { database } = worldPaths(copy.root);
    const queried = [{ name: "memory", kind: "sqlite", options: { path: database } }];
    const count = "SELECT COUNT(*), 'x' FROM t";
    const good = [{ equals: 1 }, { equals: "1" }, { equals: true }, { atLeast: 1 }, { atMost: 1 }, {}].map((more) => sql(count, more));
    const setup: RestoreSetup = { ...describeRestore(copy, backup, ["memory"]), queried, check: good };
    await runRestore(setup, quietPorts, never);
    const cases: readonly (readonly [string, Partial<Extract<Check, { kind: "sql" }>>, RegExp])[] = [
      [count, { equals: 2 }, /it gave "1" instead of 2/],
      [count, { atLeast: 2 }, /it gave "1" instead of 2 or more/],
      [count, { atMost: 0 }, /it gave "1" instead of 0 or less/],
      ["SELECT a FROM t", { equals: "second" }, /it gave "first" instead of "second"/],
      ["SELECT a FROM t", { atLeast: 0 }, /it gave "first" instead of 0 or more/],
      ["SELECT a FROM t WHERE a = 'second'", {}, /it gave nothing instead of a row/],
      ["SELECT EXISTS (SELECT 1 FROM t WHERE a = 'second')", {}, /it gave "0" instead of a row/],
      ["SELECT * FROM users", {}, /Cannot query "memory": no such table: users/],
      ["DELETE FROM t", {}, /gives no rows/],
      ["DELETE FROM t RETURNING a", {}, /readonly|read-only|attempt to write/],
    ];
    for (const [statement, more, message] of cases)
      await assert.rejects(runCheck(sql(statement, more), setup, never), { code: "check-failed", message }, statement);
    const refused: RestoreSetup = { ...describeRestore(copy, backup, ["memory"]), queried, check: [sql(count, { equals: 2 })] };
    await assert.rejects(runRestore(refused, quietPorts, never), { code: "restore-failed", message: /instead of 2/ });
  });

  test("D11 W9 a command that is to say something, or to end with a status of its own", async () => {
    await using copy = copyWorld(world);
    const restore = async (check: Check): Promise<string | undefined> =>
      (await runRestore({ ...describeRestore(copy, backup, ["loose"]), keep: "yes", check: [check] }, quietPorts, never)).unhealthy;
    assert.equal(await restore(ask("echo all is fine", { contains: "is fine" })), undefined);
    assert.match((await restore(ask("echo fine >&2", { contains: "fine" }))) ?? "", /its output does not contain "fine"/);
    assert.equal(await restore(ask("exit 3", { status: 3 })), undefined);
    assert.match((await restore(ask("true", { status: 3 }))) ?? "", /it exited with 0/);
    assert.match((await restore(ask("echo fine; exit 4", { contains: "fine" }))) ?? "", /it exited with 4/);
  });

  test("W6 F59 the journal tells the phases in their order, each datastore's own included, staged side by side", async () => {
    await using copy = copyWorld(world);
    const setup: RestoreSetup = { ...describeRestore(copy, backup, datastoreNames), lanes: 3 };
    const told = new Set<string>();
    const ports = {
      ...quietPorts,
      progress: ({ phase, datastore }: { phase: string; datastore?: string }) => void told.add(`${phase} ${datastore}`),
    };
    await runRestore(setup, ports, never);
    const types = (await readTypes(setup)).filter((type) => type !== "step");
    assert.deepEqual(
      types.filter((type) => !type.startsWith("reached staged")),
      [
        "begin",
        "reached verified",
        "stopping",
        "reached stopped",
        "saved",
        "reached saved",
        ...datastoreNames.map((name) => `reached swapped ${name}`),
        "starting",
        "reached started",
        "reached healthy",
        "committed",
        "end",
      ],
    );
    assert.deepEqual(types.slice(2, 5).toSorted(), datastoreNames.map((name) => `reached staged ${name}`).toSorted());
    for (const name of datastoreNames) assert.ok(told.has(`staging ${name}`) && told.has(`swapping ${name}`), name);
  });
});

function describeRecord(record: RestoreRecord): string {
  if (record.type !== "reached") return record.type;
  return `reached ${record.phase}${record.datastore === undefined ? "" : ` ${record.datastore}`}`;
}
