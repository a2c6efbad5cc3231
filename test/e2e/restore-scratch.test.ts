import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { ScratchPlace } from "../../src/operations/scratch/describe-scratches.ts";
import type { ScratchRecord } from "../../src/operations/scratch/scratch-record.ts";
import { makeChatDatabase } from "../support/chat-database.ts";
import { createInstallation, type Installation } from "../support/daemon.ts";
import { fillTable, openPostgres, type PostgresServer } from "../support/postgres.ts";
import { openRedis } from "../support/redis.ts";
import { querySqlite, runShell } from "../support/run-command.ts";
import { waitUntil } from "../support/wait-until.ts";

interface Made {
  readonly details: { readonly id: string; readonly members: ScratchPlace["members"] };
}

const listPlaces = async (installation: Installation): Promise<readonly ScratchPlace[]> =>
  (await installation.json<{ readonly places: readonly ScratchPlace[] }>(["scratch"])).places;

const listDatabases = (server: PostgresServer): string =>
  server.execute("SELECT datname FROM pg_database WHERE datname LIKE '%scratch%'").trim();

function findMember({ details: { members } }: Made, name: string): ScratchPlace["members"][number] {
  const member = members.find(({ datastore }) => datastore === name);
  assert.ok(member, name);
  return member;
}

test(
  "G6 --to scratch: every kind is ready to look into, no backup takes it up, and remove leaves nothing",
  { timeout: 290_000 },
  async () => {
    await using server = await openPostgres(15);
    await using redis = await openRedis();
    await using installation = await createInstallation({
      init: ["disk"],
      config: (dir) => `
destinations:
  disk: { kind: local, path: ${dir}/disk }
datastores:
  chat: { kind: sqlite, path: ${dir}/chat.db }
  crm: { kind: postgresql, host: ${server.socketDirectory}, port: ${server.port}, user: postgres, database: crm, waitFor: 0s }
  cache: { kind: redis, socket: ${redis.socket} }
  every: { kind: postgresql, host: ${server.socketDirectory}, port: ${server.port}, user: postgres, databases: all }
  state: { kind: files, root: ${dir}/state }
jobs:
  nightly: { datastores: [chat, crm, cache], destination: disk }
  greedy: { datastores: [every, state], destination: disk }
`,
    });
    const { dir } = installation;
    makeChatDatabase(join(dir, "chat.db"), { messages: 12 });
    server.execute("CREATE DATABASE crm");
    server.execute("CREATE TABLE note (who text); INSERT INTO note VALUES ('crm')", "crm");
    redis.call("SET", "who", "cache");
    await installation.start();
    await installation.json(["backup", "nightly"]);
    const made = await installation.json<Made>(["restore", "latest", "--job", "nightly", "--to", "scratch", "--keep-for", "3d"]);
    const { id } = made.details;
    const place = join(dir, "state/scratch", id);
    assert.equal(statSync(place).mode & 0o777, 0o700);
    assert.equal(await querySqlite(join(place, "chat/chat.db"), "SELECT count(*) FROM messages"), "12");
    const [psql] = findMember(made, "crm").access;
    assert.equal((await runShell(`${psql} -XAtc 'SELECT who FROM note'`)).stdout.trim(), "crm");
    const [start = "", client = ""] = findMember(made, "cache").access;
    const started = spawn("sh", ["-c", `exec ${start}`], { stdio: "ignore" });
    try {
      await waitUntil(
        "the key, in the printed server",
        async () => (await runShell(`${client} GET who || true`)).stdout.trim() === "cache",
      );
    } finally {
      started.kill();
    }

    const [listed] = await listPlaces(installation);
    assert.deepEqual([listed?.id, listed?.state, listed?.members.length], [id, "ready", 3]);
    assert.equal(Math.round((Date.parse(listed?.until ?? "") - Date.parse(listed?.createdAt ?? "")) / 3_600_000), 72);
    assert.match((await installation.holdfast(["status"])).stdout, new RegExp(`scratch ${id}`));

    await installation.json(["backup", "greedy"]);
    const { manifest } = await installation.json<{ readonly manifest: unknown }>(["show", "latest", "--job", "greedy"]);
    assert.match(JSON.stringify(manifest), /crm\.backup/);
    assert.doesNotMatch(JSON.stringify(manifest).replaceAll(/is one of a restore, and is left out/g, ""), /"name":"crm_scratch/);
    const stored = await runShell(`cd ${dir}/disk && find . -name '*.tar*' -exec tar -tf {} + ; find . -type f`);
    assert.doesNotMatch(stored.stdout, /crm_scratch/);

    await installation.json(["scratch", "remove", id]);
    assert.deepEqual(await listPlaces(installation), []);
    assert.deepEqual(readdirSync(join(dir, "state/scratch")), []);
    assert.equal(listDatabases(server), "");
    assert.equal((await installation.holdfast(["scratch", "remove", id])).status, 4);
  },
);

test(
  "G6 a scratch place that is over, or was half-made when the machine went down, is removed at the start",
  { timeout: 290_000 },
  async () => {
    await using server = await openPostgres(15);
    await using installation = await createInstallation({
      init: ["disk"],
      config: (dir) => `
destinations:
  disk: { kind: local, path: ${dir}/disk }
datastores:
  crm: { kind: postgresql, host: ${server.socketDirectory}, port: ${server.port}, user: limited, database: crm, waitFor: 0s }
jobs:
  nightly: { datastores: [crm], destination: disk }
`,
    });
    const { dir } = installation;
    server.execute("CREATE ROLE limited LOGIN");
    server.execute("CREATE DATABASE crm OWNER limited");
    server.execute("SET ROLE limited; CREATE TABLE note (who text); INSERT INTO note VALUES ('crm')", "crm");
    const daemon = await installation.start();
    await installation.json(["backup", "nightly"]);
    // A role that may not make databases gets the files, and is told why.
    const files = await installation.json<Made>(["restore", "latest", "--job", "nightly", "--to", "scratch"]);
    const { place, notes, access } = findMember(files, "crm");
    assert.match(notes.join(), /as files: .*(database|CREATEDB)/i);
    assert.ok(existsSync(join(place, "crm.backup")));
    assert.match(access.join(), /pg_restore/);

    server.execute("ALTER ROLE limited CREATEDB");
    const whole = await installation.json<Made>(["restore", "latest", "--job", "nightly", "--to", "scratch"]);
    const recordPath = join(dir, "state/scratch", `${whole.details.id}.json`);
    const record = JSON.parse(readFileSync(recordPath, "utf8")) as ScratchRecord;
    await daemon.kill();
    assert.match(listDatabases(server), /crm_scratch_/);
    // As a kill between the swap and the last word leaves it; and one whose time is over.
    writeFileSync(recordPath, JSON.stringify({ ...record, state: "making" }));
    const otherPath = join(dir, "state/scratch", `${files.details.id}.json`);
    const other = JSON.parse(readFileSync(otherPath, "utf8")) as ScratchRecord;
    writeFileSync(otherPath, JSON.stringify({ ...other, untilMs: Date.now() - 1 }));
    mkdirSync(join(dir, "state/scratch/stranger"));
    await installation.start();
    await waitUntil("the removal of both places", async () => (await listPlaces(installation)).length === 0);
    assert.equal(listDatabases(server), "");
    // What nobody has recorded is told, and left.
    assert.deepEqual(readdirSync(join(dir, "state/scratch")), ["stranger"]);
    assert.match((await installation.holdfast(["status"])).stdout, /stranger is of no scratch place/);
  },
);

test(
  "G6 a daemon that is killed while it makes a scratch place leaves no database, no file and no record",
  { timeout: 290_000 },
  async () => {
    await using server = await openPostgres(15);
    await using installation = await createInstallation({
      init: ["disk"],
      config: (dir) => `
destinations:
  disk: { kind: local, path: ${dir}/disk }
datastores:
  crm: { kind: postgresql, host: ${server.socketDirectory}, port: ${server.port}, user: postgres, database: crm, waitFor: 0s }
jobs:
  nightly: { datastores: [crm], destination: disk }
`,
    });
    server.execute("CREATE DATABASE crm");
    fillTable(server, "crm", "big", 48);
    const daemon = await installation.start();
    await installation.json(["backup", "nightly"]);
    await installation.holdfast(["restore", "latest", "--job", "nightly", "--to", "scratch", "--detach"]);
    await waitUntil("the staging database", () => listDatabases(server) !== "");
    await daemon.kill();
    const [name] = readdirSync(join(installation.dir, "state/scratch")).filter((each) => each.endsWith(".json"));
    const left = JSON.parse(readFileSync(join(installation.dir, "state/scratch", name ?? ""), "utf8")) as ScratchRecord;
    assert.deepEqual([left.state, left.members.flatMap(({ steps }) => steps.map((step) => step["op"]))], ["making", ["create"]]);
    await installation.start();
    await waitUntil("the removal of what was half-made", () => listDatabases(server) === "");
    await waitUntil("the end of its record", () => readdirSync(join(installation.dir, "state/scratch")).length === 0);
  },
);
