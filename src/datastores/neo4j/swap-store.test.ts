import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeTestDirectory, quiet } from "../../../test/support/datastore.ts";
import { runShell } from "../../../test/support/trees.ts";
import type { SwapStep } from "../contract.ts";
import { makeArea } from "../trees/restore-area.ts";
import { rollBackSteps, settleSteps } from "../trees/swap-steps.ts";
import { swapStore } from "./swap-store.ts";

const list = (data: string): string => runShell("find . | sort; cat */neo4j/store 2>/dev/null || true", data);

async function makeStore(
  directory: string,
  script: string,
): Promise<Omit<Parameters<typeof swapStore>[0], "owner"> & { readonly first: SwapStep }> {
  const data = join(directory, "data");
  mkdirSync(data, { recursive: true });
  runShell(script, data);
  let first: SwapStep = {};
  const area = await makeArea(data, async (step) => {
    first = step;
  });
  runShell(
    "mkdir -p new/databases/neo4j new/transactions/neo4j; echo new | tee new/databases/neo4j/store > new/transactions/neo4j/store",
    area.path,
  );
  return { data, database: "neo4j", area, first };
}

const sources = {
  "both directories":
    "mkdir -p databases/neo4j databases/system transactions/neo4j; echo old | tee databases/neo4j/store > transactions/neo4j/store",
  "an empty data directory": "true",
};
const owner = { uid: 0, gid: 0 };

for (const [title, script] of Object.entries(sources)) {
  for (const when of ["before", "after"] as const) {
    test(`G6 F1 a swap over ${title} that stops ${when} any of its records is rolled back, twice`, async (t) => {
      for (let stopAt = 0, ended = false; !ended; stopAt += 1) {
        const { first, ...store } = await makeStore(join(makeTestDirectory(t), String(stopAt)), script);
        const before = list(store.data).replaceAll(/^\.\/\.holdfast.*\n/gm, "");
        const steps: SwapStep[] = [first];
        ended = true;
        const swap = swapStore({ ...store, owner }, async (step) => {
          if (steps.length <= stopAt || when === "after") steps.push(step);
          if (steps.length > stopAt + (when === "after" ? 1 : 0)) {
            ended = false;
            throw new Error("stopped");
          }
        });
        await swap.catch((error: unknown) => assert.match(String(error), /stopped/));
        for (const _time of [1, 2]) {
          await rollBackSteps(steps, quiet);
          assert.equal(list(store.data), before, `stopped ${when} record ${stopAt}`);
        }
        assert.ok(stopAt < 20);
      }
    });
  }
}

test("a swap that is settled leaves the new database alone, and everything beside it", async (t) => {
  const { first, ...store } = await makeStore(makeTestDirectory(t), sources["both directories"]);
  const steps: SwapStep[] = [first];
  await swapStore({ ...store, owner }, async (step) => void steps.push(step));
  for (const _time of [1, 2]) await settleSteps(steps, quiet);
  assert.equal(
    list(store.data),
    "./databases\n./databases/neo4j\n./databases/neo4j/store\n./databases/system\n./transactions\n./transactions/neo4j\n./transactions/neo4j/store\nnew\nnew\n".replace(
      /^/,
      ".\n",
    ),
  );
});
