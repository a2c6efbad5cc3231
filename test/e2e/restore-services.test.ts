import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { openHeldWorld, type HeldWorld } from "../support/held-world.ts";
import { waitUntil } from "../support/wait-until.ts";

/** An application on a server with a directory: each notes that it is stopped or started. */
const createConfig = (dir: string): string => `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  graph:
    kind: files
    root: ${dir}/graph
    copy: stopped
    service:
      stop: { shell: "echo stop server >> ${dir}/order; while test -e ${dir}/hold-stop; do sleep 0.02; done; rm -f ${dir}/up" }
      start: { shell: "echo start server >> ${dir}/order; touch ${dir}/up" }
      running: { shell: "test -e ${dir}/up" }
  notes: { kind: files, root: ${dir}/notes }
jobs:
  nightly:
    datastores: [graph, notes]
    destination: local
    retry: { attempts: 1 }
    restore:
      stop: { shell: "echo stop app >> ${dir}/order" }
      start: { shell: "echo start app >> ${dir}/order" }
      check: { shell: "echo ask >> ${dir}/order; test -e ${dir}/up", retryFor: 0s }
`;

const prepare = (t: TestContext): Promise<HeldWorld> =>
  openHeldWorld(t, { config: createConfig, job: "nightly", datastores: ["graph", "notes"], changed: ["graph", "notes"] });

const restoreArgs = ["restore", "latest", "--job", "nightly"];
const inOrder = "stop app, stop server, start server, start app, ask";

test("W6 D5 a restore stops the server of the data after the application, once, and starts it before it; its plan and an undo too", async (t) => {
  const world = await prepare(t);
  const plan = await world.json<{ readonly stop: readonly string[]; readonly start: readonly string[] }>([...restoreArgs, "--plan"]);
  assert.deepEqual([plan.stop.length, plan.start.length], [2, 2]);
  assert.match(plan.stop[1] ?? "", /stop server/);
  assert.match(plan.start[0] ?? "", /start server/);
  assert.equal(world.takeOrder(), "");
  const { status, stderr, stdout } = await world.holdfast([...restoreArgs, "--yes"]);
  assert.equal(status, 0, stdout + stderr);
  assert.equal(world.takeOrder(), inOrder);
  assert.equal(readFileSync(world.path("graph/data"), "utf8"), "old");
  const undone = await world.holdfast(["undo", "--yes"]);
  assert.equal(undone.status, 0, undone.stderr);
  assert.equal(world.takeOrder(), inOrder);
  assert.equal(readFileSync(world.path("graph/data"), "utf8"), "new");
});

test("D5 with --no-start the server of the data is started, the application is not, and nobody is asked whether it is well", async (t) => {
  const world = await prepare(t);
  const { status, stderr } = await world.holdfast([...restoreArgs, "--yes", "--no-start"]);
  assert.equal(status, 0, stderr);
  assert.equal(world.takeOrder(), "stop app, stop server, start server");
  assert.ok(existsSync(world.path("up")));
});

test("a restore of something else, or to another place, leaves the server alone", async (t) => {
  const world = await prepare(t);
  const other = await world.holdfast([...restoreArgs, "--yes", "--only", "notes"]);
  assert.equal(other.status, 0, other.stderr);
  assert.equal(world.takeOrder(), "stop app, start app, ask");
  const elsewhere = await world.holdfast([...restoreArgs, "--yes", "--to", world.path("elsewhere")]);
  assert.equal(elsewhere.status, 0, elsewhere.stderr);
  assert.equal(world.takeOrder(), "");
});

test("an offline restore stops and starts it the same way", async (t) => {
  const world = await prepare(t);
  await world.daemon.stop();
  const { status, stderr, stdout } = await world.holdfast(["restore", "latest", "--offline", world.path("backups"), "--yes"]);
  assert.equal(status, 0, stdout + stderr);
  assert.equal(world.takeOrder(), inOrder);
  assert.equal(readFileSync(world.path("graph/data"), "utf8"), "old");
});

test("L7 the daemon is killed while the server is stopped for a restore: its next start puts all back and starts it again", async (t) => {
  const world = await prepare(t);
  writeFileSync(world.path("hold-stop"), "");
  const asked = world.holdfast([...restoreArgs, "--yes"]);
  await waitUntil("the server is being stopped", () => readFileSync(world.path("order"), "utf8").includes("stop server"));
  await world.daemon.kill();
  rmSync(world.path("hold-stop"));
  await asked;
  await world.start();
  await waitUntil("the application is started", () => readFileSync(world.path("order"), "utf8").includes("start app"));
  assert.match(world.takeOrder(), /start server, start app$/);
  assert.ok(existsSync(world.path("up")));
  assert.equal(readFileSync(world.path("graph/data"), "utf8"), "new");
});

test("check asks whether the server runs, and tells when it does not", async (t) => {
  const world = await prepare(t);
  assert.match((await world.holdfast(["check"])).stdout, /service of graph.*runs/);
  rmSync(world.path("up"));
  assert.match((await world.holdfast(["check"])).stdout, /service of graph.*is stopped now/);
});
