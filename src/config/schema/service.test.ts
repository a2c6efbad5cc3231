import assert from "node:assert/strict";
import { test } from "node:test";
import { withConfigFiles } from "../../../test/support/config-files.ts";
import { HoldfastError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import type { Config } from "../config.ts";
import { createConfigCopy } from "../config-copy.ts";
import { describeEffective } from "../describe-effective.ts";
import { loadConfig } from "../load-config.ts";

async function load(datastore: string, env: Readonly<Record<string, string>> = {}): Promise<Config> {
  const text = `destinations: { local: { kind: local, path: /var/backups/holdfast } }
datastores:
  graph: ${datastore}
jobs: { nightly: { datastores: [graph], destination: local } }
`;
  return await withConfigFiles({ "holdfast.yaml": text }, (directory) =>
    loadConfig({ path: `${directory}/holdfast.yaml`, env, flags: {} }),
  );
}

async function refuse(datastore: string): Promise<string> {
  try {
    await load(datastore);
  } catch (error) {
    if (error instanceof HoldfastError) return error.message;
    throw error;
  }
  return assert.fail(`${datastore} was accepted`);
}

const files = "kind: files, root: /srv/graph";
const find = (config: Config) => config.datastores.get("graph") ?? assert.fail();

test("a unit, a container or a compose service says how it is stopped, started, paused, resumed and asked", async () => {
  const commands = async (service: string): Promise<readonly string[]> => {
    const { stop, start, pause, resume, ask } =
      find(await load(`{ ${files}, copy: stopped, service: ${service} }`)).service ?? assert.fail();
    return [...stop, ...start, ...pause, ...resume, ask ?? assert.fail()].map(({ command }) => command.join(" "));
  };
  assert.deepEqual(await commands("{ unit: neo4j }"), [
    "systemctl stop neo4j.service",
    "systemctl start neo4j.service",
    "systemctl freeze neo4j.service",
    "systemctl thaw neo4j.service",
    "systemctl show --property=LoadState --property=ActiveState --property=FreezerState --property=InactiveExitTimestampMonotonic neo4j.service",
  ]);
  assert.deepEqual(await commands("{ docker: neo4j }"), [
    "docker stop neo4j",
    "docker start neo4j",
    "docker pause neo4j",
    "docker unpause neo4j",
    "docker inspect --type=container --format={{.State.Status}} {{.State.StartedAt}} neo4j",
  ]);
  assert.deepEqual(await commands("{ dockerCompose: neo4j, file: /opt/we/compose.yml, directory: /opt/we }"), [
    "docker compose -f /opt/we/compose.yml stop neo4j",
    "docker compose -f /opt/we/compose.yml start neo4j",
    "docker compose -f /opt/we/compose.yml pause neo4j",
    "docker compose -f /opt/we/compose.yml unpause neo4j",
    "docker compose -f /opt/we/compose.yml ps --all --format json neo4j",
  ]);
});

test("two spellings of one unit are one service; the time that it may stand still is 10 minutes unless it is said", async () => {
  const one = find(await load(`{ ${files}, copy: stopped, service: { unit: neo4j } }`));
  const other = find(await load(`{ ${files}, copy: paused, service: { unit: neo4j.service, maxDowntime: 90s } }`));
  assert.equal(one.service?.key, other.service?.key);
  assert.deepEqual([one.service?.maxDowntimeMs, other.service?.maxDowntimeMs], [600_000, 90_000]);
  assert.deepEqual([one.copy, other.copy], ["stopped", "paused"]);
  assert.equal(find(await load(`{ ${files}, service: { unit: neo4j } }`)).copy, undefined);
});

test("what is something else is stopped, started and asked by commands", async () => {
  const { service } = find(
    await load(
      `{ ${files}, copy: stopped, service: { stop: [[/opt/stop, now]], start: [{ shell: "/opt/start" }], running: [[/opt/ask]] } }`,
    ),
  );
  assert.deepEqual(service?.stop[0]?.command, ["/opt/stop", "now"]);
  assert.deepEqual(service?.ask, { command: ["/opt/ask"], timeoutMs: 120_000, answer: "status" });
  assert.deepEqual(service?.pause, []);
});

test("a way of copying that its service cannot do, or that has no service, is refused, and told what to write", async () => {
  assert.match(await refuse(`{ ${files}, copy: stopped }`), /graph\.copy: .*needs its service; write service: \{unit: NAME\.service\}/);
  assert.match(
    await refuse(`{ ${files}, copy: paused, service: { stop: [[a]], start: [[b]] } }`),
    /is to be paused while it is copied, but its service has no pause and resume/,
  );
  assert.match(await refuse(`{ ${files}, copy: cold, service: { unit: a } }`), /graph\.copy/);
});

test("a server that is read by its protocol is copied while it works, and in no other way", async () => {
  const stopped = "copy: stopped, service: { unit: server }";
  assert.match(await refuse(`{ kind: postgresql, database: app, copy: stopped }`), /graph\.copy: .*live/);
  assert.match(await refuse(`{ kind: redis, ${stopped} }`), /graph\.copy: .*live/);
});

test("a service that cannot be meant is refused", async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["{}", /exactly one of unit, dockerCompose, docker, stop is needed, found none/],
    ["{ unit: a, docker: b }", /found unit and docker/],
    ["{ unit: a, stop: [[b]], start: [[c]] }", /unit has no meaning beside stop/],
    ["{ stop: [[b]] }", /stop and start belong together/],
    ["{ pause: [[b]] }", /pause and resume belong together/],
    ["{ unit: a, directory: /opt }", /directory has no meaning without dockerCompose/],
    ["{ unit: a, maxDowntime: 2d }", /at most 24h/],
    ["{ unit: a, maxDowntime: 0s }", /maxDowntime/],
    ["{ unt: a }", /unknown key "unt"/],
    ["{ stop: [[a]], start: [[b]], running: [[c], [d]] }", /expected one command/],
  ];
  for (const [service, expected] of cases) assert.match(await refuse(`{ ${files}, service: ${service} }`), expected, service);
});

test("F71 variables of a service's hooks are secrets, and none stands in a manifest or is shown", async () => {
  const env = "env: { TOKEN: canary1, OTHER: { env: CANARY } }";
  const hook = `{ command: [/opt/run, "--token", canary2, { env: WORD }], ${env} }`;
  const config = await load(`{ ${files}, copy: stopped, service: { stop: [${hook}], start: [${hook}], running: [${hook}] } }`, {
    CANARY: "canary3-canary3",
    WORD: "canary4-canary4",
  });
  const token = find(config).service?.stop[0]?.env?.["TOKEN"];
  assert.ok(token instanceof Secret && token.reveal() === "canary1");
  assert.deepEqual(JSON.stringify(createConfigCopy(config, "nightly")).match(/.{0,40}canary.{0,5}/g), null);
  const shown = JSON.stringify(describeEffective(config)).replaceAll("canary4-canary4", "");
  assert.deepEqual(shown.match(/.{0,40}canary.{0,5}/g), null);
});
