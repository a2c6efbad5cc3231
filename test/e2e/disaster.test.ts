import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { makeChatDatabase } from "../support/chat-database.ts";
import { createInstallation, type Installation } from "../support/daemon.ts";
import { applicationCommand, makeSite } from "../support/example-config.ts";
import { findFreePort } from "../support/free-port.ts";
import { openApplication, type LiveApplication } from "../support/live-application.ts";
import { querySqlite } from "../support/run-command.ts";

const resources = new AsyncDisposableStack();
/** Outlives the first machine. */
let disk: string;
let good: string;

interface Machine {
  readonly home: string;
  readonly database: string;
  readonly application: LiveApplication;
  readonly server: Installation;
}

/** The operator's own query, an HTTP address and a health script. */
const createConfig = (home: string, port: number, application: string, rowsWanted: number): string => `
destinations:
  disk: { kind: local, path: ${disk} }
datastores:
  chat: { kind: sqlite, path: ${home}/chat.db }
  uploads: { kind: files, root: ${home}/uploads }
jobs:
  app:
    datastores: [chat, uploads]
    onMissing: skip
    destination: disk
    restore:
      stop: [${JSON.stringify([...applicationCommand("stop"), application])}]
      start: [${JSON.stringify([...applicationCommand("start"), application])}]
      check:
        - { shell: 'test "$(sqlite3 ${home}/chat.db "SELECT COUNT(*) FROM messages")" -ge ${rowsWanted}', retryFor: 1s }
        - { http: "http://localhost:${port}/api/memory/stats", retryFor: 20s }
        - { command: [${home}/health_check.sh], retryFor: 1s }
`;

async function makeMachine(name: string, rowsWanted: number): Promise<Machine> {
  const { dir } = resources.use(await makeSite());
  const home = join(dir, "srv");
  mkdirSync(home);
  writeFileSync(join(home, "health_check.sh"), `#!/bin/sh\necho asked >> ${home}/health.log\n`, { mode: 0o755 });
  const database = join(home, "chat.db");
  const port = await findFreePort("localhost");
  const application = resources.use(await openApplication(join(dir, "app"), { databases: [database], port }));
  const config = createConfig(home, port, application.dir, rowsWanted);
  const server = resources.use(await createInstallation({ dir, config, env: { HOLDFAST_HOSTNAME: name } }));
  return { home, database, application, server };
}

before(async () => {
  const { dir } = resources.use(await makeSite());
  disk = join(dir, "disk");
  const { home, database, application, server } = await makeMachine("lost", 1);
  assert.equal((await server.holdfast(["destination", "init", "disk"])).status, 0);
  makeChatDatabase(database, { messages: 2_000 });
  mkdirSync(join(home, "uploads"));
  writeFileSync(join(home, "uploads/a.txt"), "an upload");
  await application.start();
  const daemon = await server.start();
  const { details } = await server.json<{ readonly details: { readonly name: string } }>(["backup", "app"]);
  good = details.name;
  // Later ones are partial: they are not what comes back.
  renameSync(join(home, "uploads"), join(home, "elsewhere"));
  for (let index = 0; index < 2; index += 1) assert.equal((await server.holdfast(["backup", "app"])).status, 3);
  await daemon.stop();
  await application.stop();
});

after(() => resources.disposeAsync());

test("A14 W9 on a new machine one command brings back the newest good backup, asks the operator's query, the address and the health script", async () => {
  const { home, database, application, server } = await makeMachine("new", 2_000);
  await server.start();
  const { status, stdout, stderr } = await server.holdfast(["restore", "latest", "--job", "app", "--yes"]);
  assert.equal(status, 0, stderr);
  assert.match(stdout, new RegExp(`^ok: chat, uploads restored from ${good} and verified`));
  assert.match(stderr, /now +.*chat\.db does not exist/);
  assert.equal(await querySqlite(database, "SELECT count(*) FROM messages"), "2000");
  assert.equal(readFileSync(join(home, "uploads/a.txt"), "utf8"), "an upload");
  assert.equal(readFileSync(join(home, "health.log"), "utf8"), "asked\n");
  assert.ok((await application.stats()).pid > 0);
});

test("A14 G6 a restore whose query does not find what it must is taken back: nothing is there, as before", async () => {
  const { home, database, server } = await makeMachine("other", 1_000_000);
  await server.start();
  const { status, stderr } = await server.holdfast(["restore", "latest", "--job", "app", "--yes"]);
  assert.equal(status, 1);
  assert.match(stderr, /the data is as it was: The health check .*SELECT COUNT\(\*\) FROM messages.* failed/);
  assert.ok(!existsSync(join(home, "uploads")));
  assert.ok(!existsSync(join(home, "health.log")), "what comes after a check that failed is not asked");
  // The application was started again and may have begun a database of its own.
  if (existsSync(database)) assert.equal(await querySqlite(database, "SELECT count(*) FROM sqlite_schema WHERE name = 'messages'"), "0");
});
