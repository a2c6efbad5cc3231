import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeTestDirectory } from "../support/datastore.ts";
import { makeDocker } from "../support/docker-stand-in.ts";

const shell = (script: string): readonly string[] => ["/bin/sh", "-c", script];
/** Which says nothing and does not listen. */
const deaf = shell("trap '' TERM; while :; do sleep 0.05; done");

test("the stand-in for Docker starts, pauses and stops processes of this machine, and tells their state as the client does", async (t) => {
  const containers = { db: { path: "/usr/bin", command: shell("sleep 1000 & wait") }, deaf: { command: deaf, stopTimeoutMs: 100 } };
  await using docker = makeDocker(join(makeTestDirectory(t), "bin"), { containers });
  const state = async (name: string): Promise<string> => (await docker.run("inspect", "--format={{.State.Status}}", name)).trim();
  assert.equal(await state("db"), "exited");
  await assert.rejects(docker.run("compose", "exec", "-T", "db", "true"), /service "db" is not running/);
  await assert.rejects(docker.run("pause", "db"), /is not running/);
  assert.equal(await docker.run("compose", "ps", "--status", "running", "--services"), "");

  await docker.run("compose", "--project-directory", "/srv", "up", "-d", "--no-deps", "db", "deaf");
  assert.equal(await state("db"), "running");
  await docker.run("start", "db");
  assert.equal((await docker.run("exec", "-i", "db", "echo", "hello")).trim(), "hello");
  assert.deepEqual(JSON.parse(await docker.run("compose", "ps", "--all", "--format", "json", "db")), {
    Name: "site-db-1",
    Service: "db",
    State: "running",
    ExitCode: 0,
  });

  await docker.run("pause", "db");
  assert.equal(await state("db"), "paused");
  await assert.rejects(docker.run("exec", "-i", "db", "true"), /is paused, unpause/);
  await assert.rejects(docker.run("compose", "pause", "db"), /already paused/);
  await assert.rejects(docker.run("compose", "start", "db"), /try unpause/);
  await docker.run("compose", "unpause", "db");
  assert.equal(await state("db"), "running");
  await assert.rejects(docker.run("unpause", "db"), /is not paused/);

  const since = (): Promise<string> => docker.run("inspect", "--format={{.State.Status}} {{.State.StartedAt}}", "db");
  const first = await since();
  assert.match(first, /^running \d{4}-\d\d-\d\dT[\d:.]+Z\n$/);
  await docker.run("compose", "restart", "-t", "5", "db");
  assert.equal(await state("db"), "running");
  assert.notEqual(await since(), first);
  await docker.run("compose", "stop", "db", "deaf");
  assert.deepEqual([await state("db"), await state("deaf")], ["exited", "exited"]);
  await docker.run("stop", "db");
  await assert.rejects(docker.run("stop", "dB"), /No such container/);
  assert.deepEqual(docker.readCalls().at(-1), ["stop", "dB"]);
});

test("a server that others run is paused with all that it has started, and an engine that is away answers nothing", async (t) => {
  const directory = makeTestDirectory(t);
  const runs = join(directory, "pid");
  await using other = makeDocker(join(directory, "other"), {
    containers: { real: { command: shell(`echo $$ > ${runs}; sleep 1000 & wait`) } },
  });
  await using docker = makeDocker(join(directory, "bin"), {
    containers: { real: { path: "/usr/bin", runs } },
    volumes: { data: { mountpoint: "/srv" } },
  });
  const state = async (): Promise<string> => (await docker.run("inspect", "-f", "{{.State.Status}}", "real")).trim();
  writeFileSync(runs, "");
  await other.run("start", "real");
  while ((await state()) !== "running");
  await docker.run("pause", "real");
  assert.equal(await state(), "paused");
  await docker.run("unpause", "real");
  assert.equal(await docker.run("volume", "inspect", "--format", "{{ .Mountpoint }}", "data"), "/srv\n");
  await assert.rejects(docker.run("volume", "inspect", "date"), /no such volume/);
  docker.change({ containers: { real: { runs, refuses: "driver failed" } } });
  await assert.rejects(docker.run("compose", "stop", "real"), /driver failed/);
  docker.change({ engine: "away" });
  await assert.rejects(docker.run("ps"), /Cannot connect to the Docker daemon/);
});
