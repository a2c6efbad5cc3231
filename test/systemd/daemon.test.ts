import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { bedCheckout, SystemdBed } from "../support/systemd-bed.ts";

let bed: SystemdBed;

const startApp = "nohup sh -c 'while sleep 0.2; do :; done' app-loop >/dev/null 2>&1 & echo $! > /srv/app/pid";
const config = `
settings: { drain: 60s }
destinations:
  local: { kind: local, path: /var/backups/holdfast }
datastores:
  app: { kind: sqlite, path: /srv/app/app.db }
  big: { kind: files, root: /srv/big }
notify:
  ops: { kind: command, command: [/bin/sh, -c, 'cat >> /etc/told'], on: [failure, recovery] }
jobs:
  nightly:
    datastores: [app]
    schedule: "0 3 * * *"
    destination: local
    notify: [ops]
    restore:
      stop: [{ shell: 'kill $(cat /srv/app/pid)' }]
      start: [{ shell: "${startApp}" }]
      check: { shell: 'kill -0 $(cat /srv/app/pid)' }
  slow:
    datastores: [big]
    destination: local
    compression: zstd:19
    notify: [ops]
`;

before(async () => {
  bed = await SystemdBed.open(AbortSignal.timeout(120_000));
  await bed.shell(`${bedCheckout}/scripts/install`, 300_000);
  await bed.shell(`useradd -m app; install -d -o app -g app /srv/app /srv/big; head -c 12000000 /dev/urandom > /srv/big/noise
    runuser -u app -- sqlite3 /srv/app/app.db "PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)" >/dev/null
    runuser -u app -- sh -c '${startApp.replaceAll("'", `'"'"'`)}'`);
  await bed.write("/etc/holdfast/holdfast.yaml", config, "0640");
  await bed.write("/etc/systemd/system/holdfast.service.d/srv.conf", "[Service]\nReadWritePaths=/srv\n");
  await bed.shell("systemctl daemon-reload; holdfast destination init local && systemctl start holdfast");
});
after(async () => {
  await bed[Symbol.asyncDispose]();
});

async function show(property: string): Promise<string> {
  return await bed.shell(`systemctl show --value -p ${property} holdfast`);
}

interface Run {
  readonly id: string;
  readonly job: string;
  readonly kind: string;
  readonly state: string;
}

/** The newest run of a job. */
async function readLastRun(job: string): Promise<Run | undefined> {
  const { jobs } = JSON.parse(await bed.shell("holdfast --json status")) as {
    readonly jobs: readonly { readonly job: string; readonly lastRun: Run | null }[];
  };
  return jobs.find((each) => each.job === job)?.lastRun ?? undefined;
}

async function journal(): Promise<string> {
  return await bed.shell("journalctl --sync; journalctl -o cat --unit=holdfast");
}

/** Starts the slow job and waits until its data is being compressed. */
async function startSlowRun(): Promise<void> {
  await bed.shell("holdfast backup slow --detach");
  await bed.waitFor("pgrep -x zstd");
}

async function waitUntilReady(previousPid: string): Promise<void> {
  // In one question: between two the daemon may end.
  await bed.waitFor(
    `systemctl show -p ActiveState -p MainPID holdfast | sort | paste -sd, | grep -v 'MainPID=${previousPid}$' | grep -q '^ActiveState=active,MainPID=[1-9]'`,
  );
}

test("G4: the daemon is ready when its start returns, its status line stands in systemctl status, and its children drop their rights", async () => {
  assert.equal(await show("ActiveState"), "active");
  assert.notEqual(await show("StatusText"), "");
  assert.match(await bed.shell("systemctl status holdfast"), /Status: "/);
  assert.equal(
    await bed.shell("cd /run/holdfast; stat -c '%n %a %U:%G' . *.sock | paste -sd,"),
    ". 711 root:root,admin.sock 660 root:holdfast,status.sock 660 root:holdfast",
  );
  await bed.shell("useradd -G holdfast opal; useradd stranger; runuser -u opal -- holdfast status");
  assert.notEqual((await bed.run(["runuser", "-u", "stranger", "--", "holdfast", "status"])).status, 0);
  await bed.shell("holdfast backup nightly", 120_000);
  assert.equal(await bed.shell("find /srv/app -user root -name 'app.db*'"), "");
  assert.equal((await readLastRun("nightly"))?.state, "ok");
});

test("G4: a reload returns when the new config is in force", async () => {
  for (let round = 0; round < 5; round += 1) {
    await bed.write("/etc/holdfast/holdfast.yaml", `${config}  extra${round}: { datastores: [app], destination: local }\n`, "0640");
    const jobs = await bed.shell("systemctl reload holdfast && holdfast --json status");
    assert.match(jobs, new RegExp(`"extra${round}"`));
  }
  assert.equal(await show("ActiveState"), "active");
});

test("G4: a reload of a broken config fails, says why, and the old one stays in force", async () => {
  const pid = await show("MainPID");
  await bed.write("/etc/holdfast/holdfast.yaml", `${config}  broken: { datastores: [nothing], destination: local }\n`, "0640");
  const { status } = await bed.run(["systemctl", "reload", "holdfast"]);
  assert.notEqual(status, 0);
  assert.equal(await show("ActiveState"), "active");
  assert.equal(await show("MainPID"), pid);
  assert.match(await bed.shell("holdfast --json status"), /"extra4"/);
  assert.match(await journal(), /holdfast\.yaml:\d+/);
  await bed.write("/etc/holdfast/holdfast.yaml", config, "0640");
  await bed.shell("systemctl reload holdfast");
});

test("G4: log records have priorities in the journal", async () => {
  assert.match(await bed.shell("journalctl -o cat --unit=holdfast -p err"), /was not reloaded|not reloaded/);
  assert.doesNotMatch(await bed.shell("journalctl -o cat --unit=holdfast -p err"), /Holdfast \S+ starts/);
});

test("F1, F5: kill -9 of the daemon during a run: started again, the run recorded as interrupted, nothing of it goes on", async () => {
  await startSlowRun();
  const pid = await show("MainPID");
  const compressor = await bed.shell("pgrep -x zstd");
  await bed.shell(`kill -9 ${pid}`);
  await waitUntilReady(pid);
  assert.equal(await show("NRestarts"), "1");
  assert.equal((await bed.run(["kill", "-0", compressor])).status, 1);
  const runs = await bed.shell("holdfast --json runs");
  assert.match(runs, /"interrupted"/);
  await bed.shell("holdfast backup nightly", 120_000);
});

test("F2: stopping during a run lets the run end within the time limit", async () => {
  await bed.waitFor("! pgrep -x zstd", 120_000);
  await startSlowRun();
  await bed.shell("systemctl stop holdfast", 120_000);
  assert.equal(await show("Result"), "success");
  assert.equal((await bed.run(["pgrep", "-x", "zstd"])).status, 1);
  await bed.shell("systemctl start holdfast");
  assert.equal((await readLastRun("slow"))?.state, "ok");
});

// What the OOM killer does to a child; the beds of machines with the old cgroups cannot limit memory.
test("F4: a killed child is a failed run, not a failed daemon, and is told", async () => {
  const pid = await show("MainPID");
  await bed.shell("rm -f /etc/told");
  await startSlowRun();
  await bed.shell("pkill -9 -x zstd");
  await bed.waitFor(`test "$(holdfast --json status | grep -c '"state": *"running"')" = 0 && test -s /etc/told`, 120_000);
  assert.equal((await readLastRun("slow"))?.state, "failed");
  assert.equal(await show("MainPID"), pid);
  assert.match(await bed.shell("cat /etc/told"), /"kind":"failure"/);
});

test("an application that a restore started keeps its process over restarts of Holdfast", async () => {
  const before = await bed.shell("cat /srv/app/pid");
  await bed.shell("holdfast restore latest --job nightly --yes", 120_000);
  const pid = await bed.shell("cat /srv/app/pid");
  assert.notEqual(pid, before);
  await bed.shell("systemctl restart holdfast && systemctl stop holdfast", 120_000);
  assert.equal((await bed.run(["kill", "-0", pid])).status, 0);
  await bed.shell("systemctl start holdfast");
});

/** Makes the event loop of a process spin for ever, through its inspector. */
const hang = `
const targets = await (await fetch("http://127.0.0.1:9229/json")).json();
const socket = new WebSocket(targets[0].webSocketDebuggerUrl);
await new Promise((resolve) => socket.addEventListener("open", resolve));
socket.send(JSON.stringify({ id: 1, method: "Runtime.evaluate", params: { expression: "setTimeout(() => { for (;;); }, 0)" } }));
await new Promise((resolve) => socket.addEventListener("message", resolve));
process.exit();
`;

test("G4: a daemon whose event loop hangs is ended by the watchdog and started again", async () => {
  await bed.write("/etc/systemd/system/holdfast.service.d/watchdog.conf", "[Service]\nWatchdogSec=3\n");
  await bed.shell("systemctl daemon-reload; systemctl reset-failed holdfast; systemctl restart holdfast", 120_000);
  const pid = await show("MainPID");
  await bed.write("/opt/hang.mjs", hang);
  await bed.shell(`kill -USR1 ${pid}`);
  await bed.waitFor("/usr/local/lib/holdfast/current/bin/node /opt/hang.mjs");
  await waitUntilReady(pid);
  assert.match(await journal(), /Watchdog timeout/);
});

test("F12, G7: a daemon that cannot start stays down after some tries and its channels are told", async () => {
  await bed.shell("systemctl reset-failed holdfast; rm -f /etc/told");
  await bed.write("/usr/local/bin/holdfast-broken", "#!/bin/sh\nexit 3\n", "0755");
  await bed.write(
    "/etc/systemd/system/holdfast.service.d/broken.conf",
    "[Service]\nExecStart=\nExecStart=/usr/local/bin/holdfast-broken\nRestartSec=100ms\n",
  );
  await bed.run(["bash", "-c", "systemctl daemon-reload; systemctl restart holdfast"]);
  await bed.waitFor('test "$(systemctl show --value -p ActiveState holdfast)" = failed && test -s /etc/told');
  assert.match(await bed.shell("cat /etc/told"), /holdfast\.service/);
});
