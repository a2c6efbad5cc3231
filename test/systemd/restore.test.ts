import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { bedCheckout, SystemdBed } from "../support/systemd-bed.ts";

// Real units are stopped, started and asked around restores: one that holds a database open and answers by HTTP, and one that hangs on it.
const config = `
destinations:
  local: { kind: local, path: /var/backups/holdfast }
datastores:
  memory: { kind: sqlite, path: /srv/duck/memory.db }
  files: { kind: files, root: /srv/duck/files }
jobs:
  duck:
    datastores: [memory, files]
    destination: local
    restore:
      stop: [{ unit: duck-control.service }, { unit: chatgpt-duck.service }]
      start: [{ unit: chatgpt-duck.service }, { unit: duck-control.service }]
      check:
        - { http: "http://localhost:3000/api/memory/stats", contains: '"facts":', retryFor: 5s }
        - { unit: duck-control.service }
        - { command: [/opt/health_check.sh], runAs: duck, retryFor: 0s }
`;

const application = `
import { randomUUID } from "node:crypto";
import { appendFileSync, existsSync } from "node:fs";
import { createServer } from "node:http";
import { DatabaseSync } from "node:sqlite";
const database = new DatabaseSync("/srv/duck/memory.db");
database.exec("PRAGMA journal_mode = wal; PRAGMA busy_timeout = 10000");
const insert = database.prepare("INSERT INTO journal (run) VALUES (?)");
const run = randomUUID();
setInterval(() => appendFileSync("/srv/duck/acknowledged", run + " " + insert.run(run).lastInsertRowid + "\\n"), 20);
createServer((request, response) => {
  const { facts } = database.prepare("SELECT count(*) AS facts FROM facts").get();
  response.writeHead(request.url === "/api/memory/stats" && !existsSync("/srv/duck/unhealthy") ? 200 : 503);
  response.end(JSON.stringify({ facts, run }));
}).listen(3000, "localhost");
`;

/** Each notes when it starts and when it has ended, and waits there as long as a file says so. */
const createUnit = (name: string, start: string): string => `[Service]
User=duck
ExecStartPre=+/bin/sh -c 'echo start ${name} >> /srv/order; while test -e /run/hold-start; do sleep 0.05; done'
ExecStart=${start}
ExecStopPost=+/bin/sh -c 'while test -e /run/hold-stop; do sleep 0.05; done; echo stop ${name} >> /srv/order'
`;

let bed: SystemdBed;

before(async () => {
  bed = await SystemdBed.open(AbortSignal.timeout(120_000));
  await bed.shell(`${bedCheckout}/scripts/install`, 300_000);
  await bed.write("/opt/duck.mjs", application);
  await bed.write("/opt/health_check.sh", "#!/bin/sh\nid -un >> /srv/duck/asked\nexec systemctl is-active --quiet chatgpt-duck\n", "0755");
  const node = "/usr/local/lib/holdfast/current/bin/node";
  await bed.write("/etc/systemd/system/chatgpt-duck.service", createUnit("duck", `${node} /opt/duck.mjs`));
  await bed.write("/etc/systemd/system/duck-control.service", createUnit("control", "/bin/sleep infinity"));
  await bed.write("/etc/holdfast/holdfast.yaml", config, "0640");
  await bed.write("/etc/systemd/system/holdfast.service.d/srv.conf", "[Service]\nReadWritePaths=/srv\n");
  await bed.shell(`useradd -m duck; install -d -o duck -g duck /srv/duck /srv/duck/files; echo old > /srv/duck/files/a; chown duck /srv/duck/files/a
    runuser -u duck -- sqlite3 /srv/duck/memory.db "PRAGMA journal_mode = wal; CREATE TABLE facts (fact); INSERT INTO facts VALUES (1), (2); CREATE TABLE journal (id INTEGER PRIMARY KEY, run TEXT)" > /dev/null
    systemctl daemon-reload; systemctl start chatgpt-duck duck-control; holdfast destination init local; systemctl start holdfast`);
  await bed.waitFor("curl -sf http://localhost:3000/api/memory/stats");
  await bed.shell("holdfast backup duck", 120_000);
  await spoil();
});
after(async () => {
  await bed[Symbol.asyncDispose]();
});

const ask = (sql: string): Promise<string> =>
  bed.shell(`runuser -u duck -- sqlite3 -cmd '.timeout 10000' /srv/duck/memory.db "${sql}" | tail -1`);

async function spoil(): Promise<void> {
  await ask("INSERT INTO facts VALUES (3)");
  await bed.shell("echo new > /srv/duck/files/a; rm -f /srv/order; touch /srv/order");
}

/** Which of both states the data is in; it never is in another one. */
async function readState(): Promise<"backed up" | "spoilt"> {
  const state = `${await ask("SELECT count(*) FROM facts")} ${await bed.shell("cat /srv/duck/files/a")}`;
  assert.match(state, /^(2 old|3 new)$/);
  assert.equal(await bed.shell("cd /srv/duck; find . -name '*holdfast*'; find memory.db* -user root"), "");
  return state === "2 old" ? "backed up" : "spoilt";
}

async function show(unit: string, property: string): Promise<string> {
  return await bed.shell(`systemctl show --value -p ${property} ${unit}`);
}

async function assertRunning(): Promise<void> {
  for (const unit of ["chatgpt-duck", "duck-control"]) await bed.waitFor(`systemctl is-active ${unit}`);
  await bed.waitFor("curl -sf http://localhost:3000/api/memory/stats");
}

const readOrder = (): Promise<string> => bed.shell("paste -sd, /srv/order");
const restore = "holdfast restore latest --job duck --yes";

/** Every write of the application's present run that it took for committed is in the database that stands there. */
async function assertNoneLost(): Promise<void> {
  const run = /"run":"([^"]+)"/.exec(await bed.shell("curl -sf http://localhost:3000/api/memory/stats"))?.[1] ?? "";
  await bed.waitFor(`test "$(grep -c ${run} /srv/duck/acknowledged)" -gt 5`);
  const ids = await bed.shell(`grep ${run} /srv/duck/acknowledged | cut -d' ' -f2 | paste -sd,`);
  assert.equal(await ask(`SELECT count(*) FROM journal WHERE id IN (${ids})`), String(ids.split(",").length));
}

interface Run {
  readonly kind: string;
  readonly state: string;
  readonly summary: string;
}

async function readLastRun(): Promise<Run | undefined> {
  const listed = JSON.parse(await bed.shell("holdfast --json runs")) as { readonly runs: readonly Run[] } | readonly Run[];
  return ("runs" in listed ? listed.runs : listed)[0];
}

test("D5 D6 D11 W6 W9 G6 units are stopped in order, started in order and asked; undo brings back what was there, the same way", async () => {
  const pids = [await show("chatgpt-duck", "MainPID"), await show("duck-control", "MainPID")];
  const { status, stdout, stderr } = await bed.run(["sh", "-c", restore], 120_000);
  assert.equal(status, 0, stdout + stderr);
  assert.equal(await readOrder(), "stop control,stop duck,start duck,start control");
  assert.equal(await readState(), "backed up");
  assert.equal(await bed.shell("sort -u /srv/duck/asked"), "duck");
  await assertRunning();
  await assertNoneLost();
  const started = [await show("chatgpt-duck", "MainPID"), await show("duck-control", "MainPID")];
  assert.ok(pids.every((pid, index) => pid !== started[index]));
  await bed.shell("rm /srv/order; holdfast undo --yes", 120_000);
  assert.equal(await readOrder(), "stop control,stop duck,start duck,start control");
  assert.equal(await readState(), "spoilt");
  await assertRunning();
});

test("G6 units that a restore has started outlive every restart of Holdfast", async () => {
  await bed.shell(restore, 120_000);
  const pids = [await show("chatgpt-duck", "MainPID"), await show("duck-control", "MainPID")];
  await bed.shell("systemctl restart holdfast; systemctl stop holdfast; systemctl start holdfast", 120_000);
  assert.deepEqual([await show("chatgpt-duck", "MainPID"), await show("duck-control", "MainPID")], pids);
  await spoil();
});

test("F59 L7 G6 a unit that cannot be stopped: the restore does not begin, nothing is touched, and what had been stopped runs again", async () => {
  const pid = await show("chatgpt-duck", "MainPID");
  const inode = await bed.shell("stat -c %i /srv/duck/memory.db");
  await bed.write("/run/systemd/system/chatgpt-duck.service.d/refuse.conf", "[Unit]\nRefuseManualStop=yes\n");
  await bed.shell("systemctl daemon-reload");
  const { status, stderr } = await bed.run(["sh", "-c", restore], 120_000);
  await bed.shell("rm -r /run/systemd/system/chatgpt-duck.service.d; systemctl daemon-reload");
  assert.equal(status, 1, stderr);
  assert.match(stderr, /chatgpt-duck/);
  assert.equal(await show("chatgpt-duck", "MainPID"), pid);
  assert.equal(await bed.shell("stat -c %i /srv/duck/memory.db"), inode);
  assert.equal(await readState(), "spoilt");
  assert.match(await readOrder(), /^stop control,start control/);
  await assertRunning();
});

test("D11 F59 G6 the health address does not answer as it should: everything is put back, and the units run on it", async () => {
  await bed.shell("touch /srv/duck/unhealthy; rm -f /srv/order");
  const { status, stderr } = await bed.run(["sh", "-c", restore], 120_000);
  await bed.shell("rm /srv/duck/unhealthy");
  assert.equal(status, 1, stderr);
  assert.match(stderr, /api\/memory\/stats/);
  assert.equal(await readOrder(), "stop control,stop duck,start duck,start control,stop control,stop duck,start duck,start control");
  assert.equal(await readState(), "spoilt");
  await assertRunning();
});

for (const [when, hold, state] of [
  ["being stopped", "/run/hold-stop", "deactivating"],
  ["being started on the restored data", "/run/hold-start", "activating"],
] as const) {
  test(`F1 F59 G6 kill -9 of the daemon while a unit is ${when}: started again it ends the restore, and the unit runs`, async () => {
    await bed.shell(`touch ${hold}; rm -f /srv/order; ${restore} --detach`);
    await bed.waitFor(`systemctl show -p ActiveState chatgpt-duck duck-control | grep -q '=${state}$'`);
    const pid = await show("holdfast", "MainPID");
    await bed.shell(`kill -9 ${pid}; rm ${hold}`);
    await bed.waitFor(
      `systemctl show -p ActiveState -p MainPID holdfast | sort | paste -sd, | grep -v 'MainPID=${pid}$' | grep -q '^ActiveState=active,MainPID=[1-9]'`,
    );
    await assertRunning();
    assert.equal(await readState(), "spoilt");
    const records = await bed.shell("cat $(ls -t /var/lib/holdfast/restores/*.restore.jsonl | head -1)");
    assert.match(records, /"type":"end".*"outcome":"rolled-back"[^\n]*$/);
    assert.doesNotMatch(await bed.shell("holdfast status"), /not finished/);
    assert.equal((await readLastRun())?.state, "interrupted");
    await assertNoneLost();
    assert.match(await readOrder(), /start (duck|control)$/);
  });
}

test("D10 A14 G6 the daemon is gone and its state is lost: one command stops the units, restores, starts and asks", async () => {
  await bed.shell("systemctl stop holdfast; rm -rf /var/lib/holdfast/*; rm -f /srv/order", 120_000);
  await bed.shell("holdfast restore --offline /var/backups/holdfast latest --job duck --yes", 120_000);
  assert.equal(await readState(), "backed up");
  assert.equal(await readOrder(), "stop control,stop duck,start duck,start control");
  await assertRunning();
  await bed.shell("systemctl start holdfast", 120_000);
  await spoil();
});

test("F59 a unit that does not start on the restored data: tried again, told, and the restored data stays: the run is partial", async () => {
  await bed.write("/run/systemd/system/duck-control.service.d/broken.conf", "[Service]\nExecStartPre=/bin/false\n");
  await bed.shell("systemctl daemon-reload");
  const { status, stdout, stderr } = await bed.run(["sh", "-c", restore], 120_000);
  await bed.shell("rm -r /run/systemd/system/duck-control.service.d; systemctl daemon-reload; systemctl reset-failed");
  assert.notEqual(status, 0);
  assert.match(stdout + stderr, /duck-control/);
  assert.equal(await readState(), "backed up");
  assert.equal((await readLastRun())?.state, "partial");
});
