import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { createInstallation } from "../support/daemon.ts";
import { openPostgres, type PostgresServer } from "../support/postgres.ts";

const createConfig = (server: PostgresServer, disk: string): string => `
destinations:
  disk: { kind: local, path: ${disk} }
datastores:
  db: { kind: postgresql, host: ${server.socketDirectory}, port: ${server.port}, user: postgres, databases: ["app*"], waitFor: 0s }
jobs:
  nightly: { datastores: [db], destination: disk, retry: { attempts: 1 } }
`;

test("A14 the plan of an undo names what it takes back beyond what the restore has touched", { timeout: 120_000 }, async () => {
  await using server = await openPostgres(15);
  await using installation = await createInstallation({ config: (dir) => createConfig(server, join(dir, "disk")) });
  const run = async (...args: readonly string[]): Promise<string> => {
    const { status, stdout, stderr } = await installation.holdfast([...args]);
    assert.equal(status, 0, `${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const fill = (name: string): void => {
    server.execute(`CREATE DATABASE ${name}`);
    server.execute("CREATE TABLE note (id int)", name);
  };
  await run("destination", "init", "disk");
  await installation.start();
  fill("app");
  await run("backup", "nightly");
  await run("restore", "latest", "--job", "nightly", "--yes");
  assert.doesNotMatch(await run("undo", "--plan"), /did not hold/);
  fill("app_new");
  await run("restore", "latest", "--job", "nightly", "--yes");
  assert.match(await run("undo", "--plan"), /The restored backup did not hold app_new\.backup: the undo puts it back, too/);
});
