import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checkAll, dumpAll, each, makeContext, makeTestDirectory, quiet } from "../../../test/support/datastore.ts";
import { openPostgres } from "../../../test/support/postgres.ts";
import { fillShop } from "../../../test/support/postgres-restore.ts";
import type { RestoreOptions, RestoreTarget } from "../contract.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

test("a restore tells what it does: loading, analysing and counting are phases of their own", async (t) => {
  await using server = await openPostgres(15);
  fillShop(server);
  const directory = makeTestDirectory(t);
  const options = server.options({ database: "shop", binDir: server.binDir });
  const { entries } = await dumpAll(driver, options, directory);
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
