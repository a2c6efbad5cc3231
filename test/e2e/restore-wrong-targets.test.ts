import assert from "node:assert/strict";
import { test } from "node:test";
import { createInstallation } from "../support/daemon.ts";
import { openPostgres } from "../support/postgres.ts";

test(
  "F61 a backup of another server, or of another machine, needs a word; what is there is saved first all the same",
  { timeout: 290_000 },
  async () => {
    await using one = await openPostgres(15);
    await using other = await openPostgres(15);
    const describe = (port: number, socket: string) => (dir: string) =>
      `
settings: { hostname: first }
destinations:
  disk: { kind: local, path: ${dir}/disk }
datastores:
  crm: { kind: postgresql, host: ${socket}, port: ${port}, user: postgres, database: crm, waitFor: 0s }
jobs:
  nightly: { datastores: [crm], destination: disk }
`;
    await using installation = await createInstallation({ init: ["disk"], config: describe(one.port, one.socketDirectory) });
    for (const [server, who] of [
      [one, "one"],
      [other, "other"],
    ] as const) {
      server.execute("CREATE DATABASE crm");
      server.execute(`CREATE TABLE note (who text); INSERT INTO note VALUES ('${who}')`, "crm");
    }
    const daemon = await installation.start();
    const { details } = await installation.json<{ readonly details: { readonly name: string } }>(["backup", "nightly"]);
    await daemon.stop();
    const there = describe(other.port, other.socketDirectory)(installation.dir).replace("hostname: first", "hostname: second");
    await installation.writeConfig(there);
    await installation.start();
    const restore = ["restore", details.name, "--yes"];
    const refused = await installation.holdfast(restore);
    assert.equal(refused.status, 7, refused.stderr);
    assert.match(refused.stderr, /of another machine: made on first, and this is second/);
    assert.match(refused.stderr, /of another server: not of the one that crm means now/);
    assert.equal(other.execute("SELECT who FROM note", "crm").trim(), "other");
    // Into a new database nothing of it is at risk, and no word is needed.
    await installation.json(["restore", details.name, "--to", "database:looked_at", "--yes"]);
    assert.equal(other.execute("SELECT who FROM note", "looked_at").trim(), "one");
    await installation.json([...restore, "--accept-doubtful"]);
    assert.equal(other.execute("SELECT who FROM note", "crm").trim(), "one");
    await installation.json(["undo", "--yes"]);
    assert.equal(other.execute("SELECT who FROM note", "crm").trim(), "other");
    assert.equal(one.execute("SELECT who FROM note", "crm").trim(), "one");
  },
);
