import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkAll, each, makeContext, quiet } from "../../../test/support/datastore.ts";
import { openShop } from "../../../test/support/postgres-restore.ts";
import type { RestoreOptions, RestoreTarget } from "../contract.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

test("a restore tells what it does: loading, analysing and counting are phases of their own", async (t) => {
  const { options, directory, entries } = await openShop(t, 15);
  const { contents } = await checkAll(driver, entries, directory);
  const path = join(directory, "scratch");
  mkdirSync(path, { mode: 0o700 });
  const ways: readonly (readonly [RestoreTarget, RestoreOptions, readonly string[]])[] = [
    [{ kind: "original" }, { absent: false }, ["staging", "loading", "analysing", "counting"]],
    [{ kind: "original" }, { absent: false, parts: ["note"] }, ["staging", "loading", "analysing", "counting", "loading", "counting"]],
    [{ kind: "scratch", path }, { absent: false }, ["staging", "loading", "starting a scratch server", "loading", "analysing", "counting"]],
  ];
  for (const [target, restoring, expected] of ways) {
    const phases: string[] = [];
    const progress = ({ phase }: { readonly phase: string }): void => {
      if (phases.at(-1) !== phase) phases.push(phase);
    };
    await using datastore = await driver.configure(options).open(makeContext(directory, { progress }));
    await using session = await datastore.openRestore(target, restoring, quiet);
    await session.stage(each(entries.map((entry) => ({ ...entry, contents }))), quiet);
    assert.deepEqual(phases, expected);
  }
});
