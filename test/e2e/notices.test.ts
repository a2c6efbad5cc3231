import assert from "node:assert/strict";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Message } from "../../src/telemetry/notification.ts";
import { makeBot, type Bot } from "../support/bot.ts";
import { createInstallation, type Installation } from "../support/daemon.ts";
import { makeSite, substitute } from "../support/example-config.ts";
import { openReceiver, type Receiver } from "../support/receiver.ts";
import { querySqlite } from "../support/run-command.ts";

const resources = new AsyncDisposableStack();
let dir: string;
let bot: Bot;
let server: Installation;
let receiver: Receiver;
let told: string;

/** The message of that kind that the webhook has had, or will have. */
async function waitForMessage(path: string, kind: string): Promise<Message> {
  const { body } = await receiver.waitFor((request) => request.path === path && (JSON.parse(request.body) as Message).kind === kind);
  return JSON.parse(body) as Message;
}

async function install(place: string, extra: string): Promise<Installation> {
  const moved = substitute(bot.config, `path: ${bot.backups}`, `path: ${place}/backups`);
  const config = `${substitute(moved, "layout: file", `layout: file\n    retry: { attempts: 1 }\n    notify: [chat, alive, script]${extra}`)}
notify:
  chat: { kind: webhook, url: "${receiver.url}/${place.slice(dir.length + 1)}", on: [failure, suspect, absence, recovery] }
  alive: { kind: ping, url: "${receiver.url}/ping" }
  script: { kind: command, command: [sh, -c, "cat >> ${told}; echo >> ${told}"], on: [failure, suspect, absence, recovery] }
`;
  mkdirSync(place);
  const installation = resources.use(await createInstallation({ dir: place, config, init: ["backups"], env: bot.env }));
  await installation.start();
  return installation;
}

before(async () => {
  receiver = resources.use(await openReceiver());
  const site = resources.use(await makeSite());
  dir = site.dir;
  told = join(dir, "told.jsonl");
  bot = await makeBot(dir);
  // No backup is made of this one: its absence is told by the minute's look.
  await install(join(dir, "absent"), "\n    maxAge: 1s");
  server = await install(join(dir, "bot"), "");
});

after(() => resources.disposeAsync());

test("G7 a dead man's switch hears of start and success, the others of nothing while all is well", async () => {
  for (let count = 0; count < 3; count += 1) assert.equal((await server.holdfast(["backup", "bot"])).status, 0);
  await receiver.waitFor(({ path }) => path === "/ping/start");
  await receiver.waitFor(({ path }) => path === "/ping");
  assert.ok(!receiver.received.some(({ path }) => path === "/bot"));
});

test("G7 P8 a failure is told by every way with its cause, and so is the recovery", async () => {
  renameSync(bot.database, `${bot.database}.away`);
  assert.notEqual((await server.holdfast(["backup", "bot"])).status, 0);
  const failure = await waitForMessage("/bot", "failure");
  assert.equal(failure.job, "bot");
  assert.ok(failure.text.includes(bot.database), failure.text);
  await receiver.waitFor(({ path }) => path === "/ping/fail");
  renameSync(`${bot.database}.away`, bot.database);
  assert.equal((await server.holdfast(["backup", "bot"])).status, 0);
  assert.equal((await waitForMessage("/bot", "recovery")).job, "bot");
});

test("G7 G3 W8 a suspicious shrink is told, freezes retention, and is over once it is accepted", async () => {
  await querySqlite(bot.database, "pragma journal_mode = delete; delete from messages where id > 20; vacuum");
  const shrunk = await server.holdfast(["backup", "bot"]);
  assert.equal(shrunk.status, 3);
  const suspect = await waitForMessage("/bot", "suspect");
  assert.match(suspect.text, /database/);
  const plan = await server.holdfast(["prune", "bot", "--plan"]);
  assert.doesNotMatch(plan.stdout, /\bremove\b.*sqlite-backup/);
  assert.equal((await server.holdfast(["status", "--check"])).status, 1);
  const [backup] = await server.json<readonly { name: string; suspect: readonly string[] }[]>(["list", "--limit", "1"]);
  assert.equal(backup?.suspect.length, 1);
  const refused = await server.holdfast(["restore", backup.name, "--yes"]);
  assert.equal(refused.status, 7, "a suspect one is restored only on an explicit word");
  assert.equal((await server.holdfast(["accept", backup.name, "--reason", "cleaned up"])).status, 0);
  assert.equal((await server.holdfast(["status", "--check"])).status, 0);
});

test("G7 the absence of a backup is told without any run, and its end too", async () => {
  const absence = await waitForMessage("/absent", "absence");
  assert.equal(absence.job, "bot");
  assert.match(absence.text, /no verified backup/);
  const lines = readFileSync(told, "utf8").trim().split("\n");
  const kinds = lines.map((line) => (JSON.parse(line) as Message).kind);
  for (const kind of ["failure", "recovery", "suspect"] as const) assert.ok(kinds.includes(kind), `the program was told of ${kind}`);
});

test("G7 a channel that does not answer holds no run up", async () => {
  const deaf = join(dir, "deaf");
  mkdirSync(deaf);
  writeFileSync(join(deaf, "started"), "");
  const moved = substitute(bot.config, `path: ${bot.backups}`, `path: ${deaf}/backups`);
  const config = `${substitute(moved, "layout: file", "layout: file\n    notify: [deaf]")}
notify:
  deaf: { kind: command, command: [sh, -c, "echo told >> ${deaf}/started; exec tail -f /dev/null"], on: [success], timeout: 1h }
`;
  await using installation = await createInstallation({ dir: deaf, config, init: ["backups"], env: bot.env });
  await using daemon = await installation.start();
  for (let count = 0; count < 2; count += 1) assert.equal((await installation.holdfast(["backup", "bot"])).status, 0);
  assert.equal(await daemon.stop(), 0, "nor the end of the daemon");
});
