import assert from "node:assert/strict";
import { test } from "node:test";
import { createInstallation } from "../support/daemon.ts";
import { openPostgres } from "../support/postgres.ts";
import { openRedis } from "../support/redis.ts";
import { refuse, run } from "../support/run-holdfast.ts";

test(
  "G6 database:NAME makes a new database on the server, overwrites nothing, and says how to remove it",
  { timeout: 240_000 },
  async () => {
    await using server = await openPostgres(15);
    await using installation = await createInstallation({
      init: ["disk"],
      config: (dir) => `
destinations:
  disk: { kind: local, path: ${dir}/disk }
datastores:
  crm: { kind: postgresql, host: ${server.socketDirectory}, port: ${server.port}, user: postgres, database: crm, waitFor: 0s }
  lab: { kind: postgresql, host: ${server.socketDirectory}, port: ${server.port}, user: postgres, database: lab, waitFor: 0s }
jobs:
  nightly: { datastores: [crm], destination: disk }
`,
    });
    for (const name of ["crm", "lab"]) {
      server.execute(`CREATE DATABASE ${name}`);
      server.execute(`CREATE TABLE note (who text); INSERT INTO note VALUES ('${name}')`, name);
    }
    await installation.start();
    await run(installation, "backup", "nightly");
    const to = ["restore", "latest", "--job", "nightly", "--yes", "--to"];
    const said = await run(installation, ...to, "database:crm old");
    assert.match(said, /To remove it again: DROP DATABASE "crm old"/);
    assert.equal(server.execute("SELECT who FROM note", "crm old").trim(), "crm");
    // Nothing was replaced: an undo that put back what was saved of crm would take away what was written since.
    assert.match(await refuse(installation, 4, "undo", "--yes"), /no restore that can be undone/);
    assert.equal((await run(installation, "list", "--pre-restore")).includes("pre_restore"), false);
    assert.match(await refuse(installation, 7, ...to, "database:crm old"), /there already/);
    assert.match(await refuse(installation, 2, ...to, "database:postgres"), /every server has/);
    // Into another datastore, and back.
    await run(installation, ...to, "lab");
    assert.equal(server.execute("SELECT who FROM note", "lab").trim(), "crm");
    await run(installation, "undo", "--yes");
    assert.equal(server.execute("SELECT who FROM note", "lab").trim(), "lab");
    const left = server.execute("SELECT datname FROM pg_database WHERE datname LIKE '%holdfast%'");
    assert.equal(left.trim(), "");
  },
);

test("G6 --to DATASTORE: another Redis server follows the data, and undo brings its own keys back", { timeout: 240_000 }, async () => {
  await using one = await openRedis();
  await using other = await openRedis();
  await using installation = await createInstallation({
    init: ["disk"],
    config: (dir) => `
destinations:
  disk: { kind: local, path: ${dir}/disk }
datastores:
  cache: { kind: redis, socket: ${one.socket} }
  spare: { kind: redis, socket: ${other.socket} }
jobs:
  nightly: { datastores: [cache], destination: disk }
`,
  });
  one.call("SET", "who", "cache");
  other.call("SET", "who", "spare");
  await installation.start();
  await run(installation, "backup", "nightly");
  await run(installation, "restore", "latest", "--job", "nightly", "--yes", "--to", "spare");
  assert.equal(other.call("GET", "who"), "cache");
  await run(installation, "undo", "--yes");
  assert.equal(other.call("GET", "who"), "spare");
  assert.equal(one.call("GET", "who"), "cache");
});
