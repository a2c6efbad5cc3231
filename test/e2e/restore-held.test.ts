import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import type { Status } from "../../src/operations/read-status.ts";
import { openHeldWorld, type HeldWorld } from "../support/held-world.ts";
import { findGuards } from "../support/find-guards.ts";
import { hasEnded } from "../support/processes.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Two datastores of one server, each with a job of its own. `break`: the next stop leaves a server that does not start, the one after mends it. */
const createConfig = (dir: string): string => {
  const stop = `echo stop >> ${dir}/order; rm -f ${dir}/up ${dir}/broken; test ! -e ${dir}/break || mv ${dir}/break ${dir}/broken; while test -e ${dir}/hold-stop; do sleep 0.02; done`;
  const start = `echo start >> ${dir}/order; while test -e ${dir}/hold-start; do sleep 0.02; done; test ! -e ${dir}/broken || exit 7; touch ${dir}/up; echo started >> ${dir}/order`;
  const shared = `copy: stopped, service: { stop: { shell: "${stop}" }, start: { shell: "${start}" }, running: { shell: "test -e ${dir}/up" } }`;
  return `
destinations: { local: { kind: local, path: ${dir}/backups } }
datastores:
  graph: { kind: files, root: ${dir}/graph, ${shared} }
  plugins: { kind: files, root: ${dir}/plugins, ${shared} }
jobs:
  graph: { datastores: [graph], destination: local, retry: { attempts: 1 } }
  plugins: { datastores: [plugins], destination: local, retry: { attempts: 1 } }
`;
};

const prepare = (t: TestContext): Promise<HeldWorld> =>
  openHeldWorld(t, { config: createConfig, job: "graph", datastores: ["graph", "plugins"], changed: ["graph"] });

const restoreArgs = ["restore", "latest", "--job", "graph", "--yes"];

test("a restore waits for the backup of another datastore that has the same server stopped: none starts it under the other", async (t) => {
  const world = await prepare(t);
  writeFileSync(world.path("hold-start"), "");
  const backup = world.holdfast(["backup", "plugins"]);
  await waitUntil("the server is about to start", () => readFileSync(world.path("order"), "utf8").includes("start"));
  const restore = world.holdfast(restoreArgs);
  await waitUntil("the restore waits", async () => {
    const { tasks } = await world.json<Status>(["status"]);
    return tasks.some(({ kind, state }) => kind === "restore" && state === "waiting");
  });
  rmSync(world.path("hold-start"));
  assert.equal((await backup).status, 0);
  const { status, stderr } = await restore;
  assert.equal(status, 0, stderr);
  assert.equal(world.takeOrder(), "stop, start, started, stop, start, started");
  assert.equal(readFileSync(world.path("graph/data"), "utf8"), "old");
});

test("a server that does not start after a backup, and is restored: its guard does not start it in the middle of that", async (t) => {
  const world = await prepare(t);
  writeFileSync(world.path("break"), "");
  assert.notEqual((await world.holdfast(["backup", "plugins"])).status, 0);
  const holds = world.path("state/holds");
  const [guard] = findGuards(holds);
  assert.ok(guard !== undefined);
  assert.equal((await world.json<Status>(["status"])).holds.length, 1);
  world.takeOrder();
  writeFileSync(world.path("hold-stop"), "");
  const restore = world.holdfast(restoreArgs);
  await waitUntil("the restore has stopped it", () => readFileSync(world.path("order"), "utf8").includes("stop"));
  await waitUntil("the guard is gone", () => hasEnded(guard));
  assert.ok(!existsSync(world.path("up")));
  rmSync(world.path("hold-stop"));
  const { status, stderr } = await restore;
  assert.equal(status, 0, stderr);
  assert.match(world.takeOrder(), /^(start, )*stop, start, started$/);
  assert.equal(readFileSync(world.path("graph/data"), "utf8"), "old");
  assert.deepEqual((await world.json<Status>(["status"])).holds, []);
});
