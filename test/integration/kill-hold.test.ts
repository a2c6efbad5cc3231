import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, test, type TestContext } from "node:test";
import { holdsDir, readHold } from "../../src/operations/hold/hold-record.ts";
import { releaseHold } from "../../src/operations/hold/release-holds.ts";
import type { Status } from "../../src/operations/read-status.ts";
import { createInstallation } from "../support/daemon.ts";
import { findGuards } from "../support/find-guards.ts";
import { makeHeldService, type HeldService } from "../support/held-service.ts";
import { hasEnded } from "../support/processes.ts";
import { waitUntil } from "../support/wait-until.ts";

const previous = process.env["HOLDFAST_HOOKS"];
before(() => {
  process.env["HOLDFAST_HOOKS"] = "direct";
});
after(() => {
  if (previous === undefined) delete process.env["HOLDFAST_HOOKS"];
  else process.env["HOLDFAST_HOOKS"] = previous;
});

const program = resolve(import.meta.dirname, "../fixtures/programs/holder.ts");

interface Holder {
  readonly child: ChildProcess;
  readonly said: string[];
  /** When it is gone and all that it said has been read. */
  readonly closed: Promise<unknown>;
}

function startHolder(t: TestContext, service: HeldService): Holder {
  const path = join(service.directory, "order.json");
  writeFileSync(path, JSON.stringify(service.order));
  const child = spawn(process.execPath, [program, path], { detached: true, stdio: ["pipe", "pipe", "inherit"] });
  const said: string[] = [];
  const closed = once(child, "close");
  child.stdin.on("error", () => undefined);
  child.stdout.setEncoding("utf8").on("data", (text: string) => said.push(...text.trim().split("\n")));
  t.after(() => child.kill("SIGKILL"));
  return { child, said, closed };
}

async function kill(holder: Holder): Promise<void> {
  assert.ok(holder.child.pid !== undefined);
  // The whole group, as whoever ends a worker does. One that had nothing more to do may have ended by itself.
  try {
    process.kill(-holder.child.pid, "SIGKILL");
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ESRCH");
  }
  await holder.closed;
}

async function killGuard(service: HeldService): Promise<void> {
  const [guard] = findGuards(service.holds);
  assert.ok(guard !== undefined);
  process.kill(guard, "SIGKILL");
  // Its lock is free when the last of its threads has ended, and not before.
  await waitUntil("the guard is gone", () => hasEnded(guard));
}

/** The life of a hold, as far as somebody outside can tell its points apart; each is waited for and then held on to by a gate. */
const points = {
  stopping: async (service: HeldService) => {
    service.set("hold-stop", "there");
    await waitUntil("it is being stopped", () => service.log().includes("stopping"));
  },
  held: async (_: HeldService, holder: Holder) => {
    await waitUntil("it is held", () => holder.said.includes("held"));
  },
  starting: async (service: HeldService, holder: Holder) => {
    await waitUntil("it is held", () => holder.said.includes("held"));
    service.set("hold-start", "there");
    holder.child.stdin?.write("release\n");
    await waitUntil("it is being started", () => service.log().includes("starting"));
  },
} as const;

const count = (service: HeldService, line: string): number => service.log().filter((each) => each === line).length;

function openGates(service: HeldService): void {
  for (const gate of ["hold-stop", "hold-start"] as const) service.set(gate, "gone");
}

async function assertGoesOn(service: HeldService): Promise<void> {
  await waitUntil("it is let go", () => service.records().length === 0 && findGuards(service.holds).length === 0, { withinMs: 60_000 });
  assert.equal(service.runs(), true, service.log().join());
}

/** As the daemon does at its start and now and then. */
async function releaseAll(service: HeldService): Promise<void> {
  for (const id of service.records()) await releaseHold(service.holds, id, { known: [] }, service.ports, AbortSignal.timeout(60_000));
}

for (const [name, reach] of Object.entries(points)) {
  test(`F4 the worker is killed while its service is ${name}: the guard lets it go, once`, async (t) => {
    const service = makeHeldService(t);
    if (name === "stopping") service.set("hold-stop", "there");
    const holder = startHolder(t, service);
    await reach(service, holder);
    await kill(holder);
    openGates(service);
    await assertGoesOn(service);
    assert.deepEqual([count(service, "stopped"), count(service, "started")], [1, 1]);
  });

  test(`the guard is killed while its service is ${name}: the worker lets it go, and uses nothing that it copied`, async (t) => {
    const service = makeHeldService(t);
    if (name === "stopping") service.set("hold-stop", "there");
    const holder = startHolder(t, service);
    await reach(service, holder);
    await killGuard(service);
    openGates(service);
    await assertGoesOn(service);
    holder.child.stdin?.write("release\n");
    await holder.closed;
    assert.match(holder.said.at(-1) ?? "", /the process that guards it ended/);
    if (name === "held") assert.equal(count(service, "started"), 1);
  });

  test(`both are killed while the service is ${name}: what finds the record lets it go`, async (t) => {
    const service = makeHeldService(t);
    if (name === "stopping") service.set("hold-stop", "there");
    const holder = startHolder(t, service);
    await reach(service, holder);
    // The worker first, which would take over.
    holder.child.kill("SIGSTOP");
    await killGuard(service);
    await kill(holder);
    openGates(service);
    const [id = ""] = service.records();
    assert.equal(readHold(service.holds, id)?.state, name === "stopping" ? "engaging" : "held");
    await releaseAll(service);
    await assertGoesOn(service);
    if (name === "held") assert.deepEqual([count(service, "stopped"), count(service, "started")], [1, 1]);
  });
}

test("the worker is killed before anything was stopped, and after it was let go: nothing is done twice", async (t) => {
  const service = makeHeldService(t);
  const early = startHolder(t, service);
  await kill(early);
  const late = startHolder(t, service);
  await waitUntil("it is held", () => late.said.includes("held"));
  late.child.stdin?.write("release\n");
  await waitUntil("it is released", () => late.said.includes("released"));
  await kill(late);
  await assertGoesOn(service);
  assert.deepEqual([count(service, "stopped"), count(service, "started")], [1, 1]);
});

test("a record whose guard and worker are gone: the next hold of the service lets it go first, and afterwards it runs", async (t) => {
  const service = makeHeldService(t);
  const killed = startHolder(t, service);
  await points.held(service, killed);
  killed.child.kill("SIGSTOP");
  await killGuard(service);
  await kill(killed);
  const next = startHolder(t, service);
  await waitUntil("it is held", () => next.said.includes("held"));
  assert.equal(service.runs(), false);
  next.child.stdin?.write("release\n");
  await once(next.child, "exit");
  await assertGoesOn(service);
  assert.deepEqual([count(service, "stopped"), count(service, "started")], [2, 2]);
});

test("two that find a record at once: one lets it go, once", async (t) => {
  const service = makeHeldService(t);
  const holder = startHolder(t, service);
  await points.held(service, holder);
  holder.child.kill("SIGSTOP");
  await killGuard(service);
  await kill(holder);
  await Promise.all([releaseAll(service), releaseAll(service), releaseAll(service)]);
  await assertGoesOn(service);
  assert.equal(count(service, "started"), 1);
});

test("the daemon's next start lets go what stands still; what it cannot let go its status shows, with the remedy", async (t) => {
  await using installation = await createInstallation({ config: daemonConfig });
  const holds = holdsDir(join(installation.dir, "state"));
  const service = makeHeldService(t, { directory: holds });
  const holder = startHolder(t, service);
  await waitUntil("it is held", () => holder.said.includes("held"));
  holder.child.kill("SIGSTOP");
  await killGuard(service);
  await kill(holder);
  service.set("fail-start", "there");
  await installation.start();
  const status = await waitUntil("the status shows it", async () => {
    const { stdout } = await installation.holdfast(["status"]);
    return stdout.includes("does not go on") && stdout;
  });
  assert.match(status, /"graph" is stopped, and does not go on: .*exited with 7.*by hand: \/bin\/sh/);
  const shown = await installation.json<Pick<Status, "state" | "holds">>(["status"]);
  assert.equal(shown.state, "failed");
  assert.match(shown.holds[0]?.problem ?? "", /exited with 7/);
  service.set("fail-start", "gone");
  await installation.holdfast(["reload"]);
  await waitUntil("it is let go", () => service.runs());
  await waitUntil("the record is gone", async () => !(await installation.holdfast(["status"])).stdout.includes("graph"));
});

const daemonConfig = (dir: string): string => `
destinations: { local: { kind: local, path: ${dir}/backups } }
datastores: { files: { kind: files, root: ${dir}/data } }
jobs: { nightly: { datastores: [files], destination: local } }
`;
