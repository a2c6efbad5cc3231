import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { after, before, test } from "node:test";
import type { Message } from "../../src/telemetry/notification.ts";
import { createInstallation, startDaemon } from "../support/daemon.ts";
import { makeSite } from "../support/example-config.ts";
import { openReceiver, type Receiver } from "../support/receiver.ts";

const resources = new AsyncDisposableStack();
let dir: string;
let receiver: Receiver;

before(async () => {
  receiver = resources.use(await openReceiver());
  dir = resources.use(await makeSite()).dir;
});

after(() => resources.disposeAsync());

/** A place with a few files and the start of a config that backs them up. */
async function makePlace(name: string): Promise<{ readonly place: string; readonly backups: string; readonly config: string }> {
  const place = join(dir, name);
  const backups = join(place, "backups");
  await mkdir(join(place, "data"), { recursive: true });
  for (let count = 0; count < 20; count += 1) await writeFile(join(place, `data/${count}.txt`), `page ${count}\n`.repeat(500));
  const config = `destinations:
  disk: { kind: local, path: ${backups} }
datastores:
  pages: { kind: files, root: ${place}/data }
jobs:
  pages:
    datastores: [pages]
    destination: disk
    layout: archive
    retry: { attempts: 1 }
`;
  return { place, backups, config };
}

interface Listed {
  readonly name: string;
  readonly folder: string;
  readonly damaged: string | null;
}

test("F23 bit rot at rest: the scheduled verification finds it, tells it, and no longer counts the backup as good", async () => {
  const { place, backups, config } = await makePlace("rot");
  const text = `${config}    verify: every 2s
    notify: [chat]
notify:
  chat: { kind: webhook, url: "${receiver.url}/rot" }
`;
  await using server = await startDaemon({ dir: place, config: text, init: ["disk"] });
  for (let count = 0; count < 2; count += 1) assert.equal((await server.holdfast(["backup", "pages"])).status, 0);
  const [newest, older] = await server.json<readonly Listed[]>(["list"]);
  assert.ok(newest !== undefined && older !== undefined);
  const stored = join(backups, newest.folder, newest.name);
  const bytes = readFileSync(stored);
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
  writeFileSync(stored, bytes);
  const { body } = await receiver.waitFor((request) => (JSON.parse(request.body) as Message).kind === "damaged");
  assert.ok((JSON.parse(body) as Message).text.includes(newest.name), body);
  const listed = await server.json<readonly Listed[]>(["list"]);
  assert.deepEqual(
    listed.map(({ name, damaged }) => [name, damaged !== null]),
    [
      [newest.name, true],
      [older.name, false],
    ],
  );
  const plan = await server.json<{ readonly backup: { readonly name: string } }>(["restore", "latest", "--plan"]);
  assert.equal(plan.backup.name, older.name, "latest is the newest one that is whole");
  assert.notEqual((await server.holdfast(["status", "--check"])).status, 0);
});

test("G7 W12 a backup that was moved away: verification and drill fail, status says so until it is back and proven", async () => {
  const { place, backups, config } = await makePlace("away");
  await using server = await startDaemon({ dir: place, config, init: ["disk"] });
  for (let count = 0; count < 2; count += 1) assert.equal((await server.holdfast(["backup", "pages"])).status, 0);
  const [newest, older] = await server.json<readonly Listed[]>(["list"]);
  assert.ok(newest !== undefined && older !== undefined);
  const move = (from: string, to: string): void => {
    for (const name of readdirSync(join(from, newest.folder)).filter((each) => each.startsWith(newest.name)))
      renameSync(join(from, newest.folder, name), join(to, newest.folder, name));
  };
  const away = join(place, "elsewhere");
  mkdirSync(join(away, newest.folder), { recursive: true });
  const check = async (): Promise<readonly [number | null, string]> => {
    const { status, stdout } = await server.holdfast(["status", "--check"]);
    return [status, stdout];
  };
  assert.match((await check())[1], /^OK/);
  move(backups, away);
  for (const verb of ["verify", "drill"]) assert.equal((await server.holdfast([verb, newest.name])).status, 4);
  const [status, line] = await check();
  assert.equal(status, 1);
  assert.match(line, /^WARNING.*3 problems: pages: the last verification failed at .*is missing at "disk"/);
  const { stdout } = await server.holdfast(["status"]);
  assert.match(stdout, /pages: the last drill failed at .*`holdfast drill latest --job pages` tries again/);
  assert.match(stdout, new RegExp(`pages: 1 backup is missing at "disk": ${newest.name}; `));
  assert.match(stdout, new RegExp(`newest good +${older.name}`));
  assert.match((await server.holdfast(["list"])).stdout, new RegExp(`^${newest.name}\t.*\tmissing,`, "m"));
  move(away, backups);
  for (const verb of ["verify", "drill"]) assert.equal((await server.holdfast([verb, newest.name])).status, 0);
  assert.match((await check())[1], /^OK/);
  assert.match((await server.holdfast(["status"])).stdout, new RegExp(`newest good +${newest.name}`));
});

test("G7 W12 the only backup was removed by somebody else: a rebuild forgets it, and status does not say ok", async () => {
  const { place, backups, config } = await makePlace("removed");
  await using server = await startDaemon({ dir: place, config, init: ["disk"] });
  assert.equal((await server.holdfast(["backup", "pages"])).status, 0);
  const [only] = await server.json<readonly Listed[]>(["list"]);
  assert.ok(only !== undefined);
  for (const name of readdirSync(join(backups, only.folder)).filter((each) => each.startsWith(only.name)))
    rmSync(join(backups, only.folder, name));
  assert.match((await server.holdfast(["rebuild"])).stdout, /1 gone/);
  const { status, stdout } = await server.holdfast(["status", "--check"]);
  assert.equal(status, 1);
  assert.match(stdout, /pages: no good backup is left: /);
  assert.equal((await server.holdfast(["backup", "pages"])).status, 0);
  assert.equal((await server.holdfast(["status", "--check"])).status, 0);
});

test("F73 nothing of the daemon's environment reaches tools, hooks and channels; options of tools meant for others change nothing", async () => {
  const { place, config } = await makePlace("environment");
  const told = join(place, "told");
  const text = `${config}    notify: [script]
    restore: { stop: [[sh, -c, "env > ${told}.hook"]] }
notify:
  script: { kind: command, command: [sh, -c, "env > ${told}.channel; cat > ${told}.message"], on: [success] }
`;
  const foreign = {
    TAR_OPTIONS: "--exclude=*.txt",
    GZIP: "-1",
    ZSTD_CLEVEL: "19",
    PGPASSWORD: "of-somebody-else",
    NODE_OPTIONS: "--no-warnings",
    OPENAI_API_KEY: "of-somebody-else",
  };
  await using server = await startDaemon({ dir: place, config: text, init: ["disk"], env: foreign });
  assert.equal((await server.holdfast(["backup", "pages"])).status, 0);
  const [backup] = await server.json<readonly Listed[]>(["list"]);
  rmSync(join(place, "data/7.txt"));
  assert.equal((await server.holdfast(["restore", backup?.name ?? "", "--yes"])).status, 0);
  assert.equal(readdirSync(join(place, "data")).length, 20, "tar was told to leave them out, and was not listened to");
  const environments = ["hook", "channel"].map((name) => readFileSync(`${told}.${name}`, "utf8"));
  for (const environment of environments) {
    assert.match(environment, /^PATH=/m);
    for (const name of Object.keys(foreign)) assert.doesNotMatch(environment, new RegExp(`^${name}=`, "m"));
  }
  assert.equal((JSON.parse(readFileSync(`${told}.message`, "utf8")) as Message).kind, "success", "standard input is the message alone");
});

/** Collects the argument lists and environments of all processes that are ours, until it is closed. */
function watchProcesses(isOurs: (environment: string) => boolean): AsyncDisposable & { seen(): string } {
  const seen = new Set<string>();
  const stop = new AbortController();
  const watching = (async () => {
    while (!stop.signal.aborted) {
      for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
        const read = (name: string) => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => "");
        const environment = await read("environ");
        if (isOurs(environment)) seen.add(`${await read("cmdline")}\n${environment}`);
      }
      await sleep(5);
    }
  })();
  return {
    seen: () => [...seen].join("\n"),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await watching;
    },
  };
}

test("prop-P9 F71 a secret in any slot is in no log, no file of ours, no answer, no message, no argument list and no child's environment", async () => {
  const { place, config } = await makePlace("secret");
  const canaries = { url: "canary-7fQ2-url", header: "canary-9xK4-header", ping: "canary-3bM8-ping", lost: "canary-5tR1-lost" };
  const secrets = join(dir, "secrets");
  mkdirSync(secrets, { mode: 0o700 });
  writeFileSync(join(secrets, "header"), `Bearer ${canaries.header}\n`, { mode: 0o600 });
  writeFileSync(join(secrets, "ping"), `${receiver.url}/ping/${canaries.ping}\n`, { mode: 0o600 });
  const text = `${config}    notify: [chat, alive, lost]
notify:
  chat:
    kind: webhook
    url: { env: CHAT_URL }
    headers: { Authorization: { file: ${secrets}/header } }
    on: [failure, success, recovery]
  alive: { kind: ping, url: { file: ${secrets}/ping } }
  # Nobody listens there: what is said of it must not name it.
  lost: { kind: webhook, url: { env: LOST_URL }, on: [failure, success], timeout: 1s }
`;
  // The daemon itself is given two of them by its environment; whatever it starts is not.
  const env = { CHAT_URL: `${receiver.url}/chat?key=${canaries.url}`, LOST_URL: `http://127.0.0.1:1/${canaries.lost}` };
  const marker = `HOLDFAST_TEST_RUN=canary-watch-${process.pid}`;
  await using server = await createInstallation({
    dir: place,
    config: text,
    env: { ...env, HOLDFAST_LOG_LEVEL: "trace", HOLDFAST_TEST_RUN: marker.slice(marker.indexOf("=") + 1) },
    init: ["disk"],
  });
  await using processes = watchProcesses((environment) => environment.includes(marker) && !environment.includes(canaries.url));
  const daemon = await server.start();
  const said: string[] = [];
  const call = async (args: readonly string[], status = 0): Promise<void> => {
    const result = await server.holdfast(args, { env: { CHAT_URL: "http://127.0.0.1:1/", LOST_URL: "http://127.0.0.1:1/" } });
    assert.equal(result.status, status, `${args.join(" ")}: ${result.stderr}`);
    said.push(result.stdout, result.stderr);
  };
  await call(["backup", "pages"]);
  await server.writeConfig(text.replace(`${place}/data`, `${place}/away`));
  process.kill(daemon.pid, "SIGHUP");
  await daemon.waitForLog(/configuration.*(in force|loaded|reloaded)/i);
  const failed = await server.holdfast(["backup", "pages"]);
  assert.notEqual(failed.status, 0);
  said.push(failed.stdout, failed.stderr);
  const failure = await receiver.waitFor(({ path, body }) => path.startsWith("/chat") && (JSON.parse(body) as Message).kind === "failure");
  await receiver.waitFor(({ path }) => path.startsWith(`/ping/${canaries.ping}`));
  await daemon.waitForLog(/lost/);
  for (const args of [
    ["status", "--json"],
    ["list", "--json"],
    ["runs", "--json"],
    ["show", "latest", "--json"],
    ["report", "--json"],
  ])
    await call(args);
  assert.equal(await daemon.stop(), 0);
  const everything: Record<string, string> = {
    log: daemon.log(),
    answers: said.join("\n"),
    message: failure.body,
    processes: processes.seen(),
  };
  for (const entry of readdirSync(place, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) everything[path] = readFileSync(path, "latin1");
  }
  assert.match(everything["processes"] ?? "", /main\.ts\0worker/, "what ran was seen");
  for (const [where, content] of Object.entries(everything))
    for (const canary of Object.values(canaries)) assert.ok(!content.includes(canary), `${canary} is in ${where}`);
});
