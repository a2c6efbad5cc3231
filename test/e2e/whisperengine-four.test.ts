import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { backdateBackup } from "../support/clone-backup.ts";
import { countRecords, collectionsPath } from "../support/chroma.ts";
import type { Installation, RunningDaemon } from "../support/daemon.ts";
import { superuserPassword } from "../support/postgres.ts";
import { readChroma } from "../support/whisperengine-services.ts";
import { openWhisperEngine, redisPassword, type WhisperEngine } from "../support/whisperengine-site.ts";
import { openPostgresWriter, openRedisWriter } from "../support/writing-clients.ts";
import { openChromaWriter, openNeo4jWriter } from "../support/writing-services.ts";

interface Listed {
  readonly name: string;
  readonly status: string;
  readonly members: readonly {
    readonly datastore: string;
    readonly status: string;
    readonly snapshot?: { readonly copying: string; readonly heldMs?: number };
  }[];
}

/** What the four servers answer. */
interface World {
  readonly memories: string;
  /** Numbers of rows, records and nodes that the writers have written. */
  readonly rows: readonly number[];
  readonly keys: string;
  readonly chroma: Awaited<ReturnType<typeof readChroma>>;
  readonly graph: unknown;
  readonly nodes: readonly number[];
}

const services = ["postgres", "redis", "chromadb", "neo4j"] as const;
const files = ["postgresql_backup.sql", "redis_backup.rdb", "chromadb_backup.tar.gz", "neo4j_backup.tar.gz"] as const;

/** The shipped config on four real servers, with clients at work on all of them. The steps follow one another. */
describe("WhisperEngine: four services", { timeout: 900_000 }, () => {
  const resources = new AsyncDisposableStack();
  let site: WhisperEngine;
  let server: Installation;
  let daemon: RunningDaemon;
  let saved: World;
  let spoilt: World;

  const list = (): Promise<readonly Listed[]> => server.json<readonly Listed[]>(["list", "whisperengine"]);
  const findWhole = async (): Promise<string> => (await list()).find(({ status }) => status === "ok")?.name ?? "none";
  const countTo = (last: number): readonly number[] => Array.from({ length: last }, (_, index) => index + 1);

  async function holdfast(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await server.holdfast(args);
    assert.equal(status, 0, stdout + stderr);
    return stdout + stderr;
  }

  async function readWorld(): Promise<World> {
    const { postgres, redis, inVolumes } = site;
    const read = (sql: string): string => postgres.execute(sql, "whisper").trim();
    return {
      memories: read("select count(*) from memories"),
      rows: read("select number from written order by 1").split("\n").map(Number),
      keys: redis.readDigest(),
      chroma: await readChroma(inVolumes.chroma),
      graph: await inVolumes.neo4j.ask("MATCH (m:Memory)-[:ABOUT]->(t:Topic) RETURN [count(m), min(m.id), max(t.id)]"),
      nodes: (await inVolumes.neo4j.ask("MATCH (n:Written) WITH n.number AS at ORDER BY at RETURN collect(at)")) as readonly number[],
    };
  }

  async function spoil(): Promise<World> {
    const { chroma, neo4j } = site.inVolumes;
    site.postgres.execute("delete from memories where id > 1500; insert into written values (1000000, 'later')", "whisper");
    site.redis.call("DEL", "session:1");
    site.redis.call("SET", "later", "1");
    const found = (await chroma.call("GET", `${collectionsPath}/memories`)) as { readonly id: string };
    await chroma.call("POST", `${collectionsPath}/${found.id}/delete`, { ids: ["id1234"] });
    assert.equal(await countRecords(chroma, found.id), 1_499);
    await neo4j.ask("MATCH (m:Memory) WHERE m.id > 100 DETACH DELETE m");
    return await readWorld();
  }

  before(async () => {
    site = resources.use(await openWhisperEngine("all"));
    ({ server } = site);
    site.postgres.execute(
      "create table generation (name text); insert into generation values ('first'); create table written (number int primary key, name text)",
      "whisper",
    );
    site.redis.call("SET", "generation", "first");
    daemon = await server.start();
  });

  after(() => resources.disposeAsync());

  test("W7 the shipped config is checked: all four are found, and Neo4j's service can be stopped and started", async () => {
    const said = await holdfast("check");
    for (const service of services) assert.match(said, new RegExp(service));
  });

  test("W1 W2 one backup with writers at work on all four: the files, and what backup_info.txt says; Neo4j's downtime is told, and it runs on", async () => {
    const { postgres, redis, inVolumes } = site;
    const own = { host: "127.0.0.1", port: postgres.port, user: "postgres", password: superuserPassword, database: "whisper" };
    await using sql = await openPostgresWriter(own, 1, 50);
    await using keys = await openRedisWriter(redis.socket, 1, redisPassword, 50);
    await using records = await openChromaWriter(inVolumes.chroma);
    await using nodes = await openNeo4jWriter(inVolumes.neo4j);
    const writers = [sql, keys, records, nodes];
    await Promise.all(writers.map((writer) => writer.waitForWrites(5)));
    const before = writers.map(({ acknowledged }) => acknowledged.length);
    const { details } = await server.json<{ details: { name: string } }>(["backup", "whisperengine"]);
    await Promise.all(writers.map((writer) => writer.waitForWrites(1)));
    const made = join(site.backups, details.name);
    assert.match(details.name, /^whisperengine_backup_\d{8}_\d{6}$/);
    const found = readdirSync(made).filter((file) => !file.endsWith(".index.jsonl"));
    assert.deepEqual(found.toSorted(), [...files, "RESTORE.txt", "backup_info.txt", "manifest.json"].toSorted());
    for (const [file, inside] of [
      ["chromadb_backup.tar.gz", /chroma\.sqlite3$/m],
      ["neo4j_backup.tar.gz", /databases\/neo4j\/neostore\.nodestore/],
    ] as const)
      assert.match(execFileSync("tar", ["-tzf", join(made, file)], { encoding: "utf8" }), inside);

    const info = readFileSync(join(made, "backup_info.txt"), "utf8");
    assert.match(info, new RegExp(`^Directory: +${details.name}$`, "m"));
    assert.match(info, /^Status: +ok$/m);
    for (const [at, service] of services.entries()) {
      const kind = { postgres: "postgresql", redis: "redis", chromadb: "chroma", neo4j: "neo4j" }[service];
      const file = files[at] ?? "";
      assert.match(info, new RegExp(`^${service} \\(${kind}\\): ok, 1 file, `, "m"));
      assert.match(info, new RegExp(`^  ${file.replaceAll(".", "\\.")}  [\\d.]+ ([KM]i)?B`, "m"));
      assert.ok(statSync(join(made, file)).size > 0);
    }
    assert.match(info, /^neo4j [^\n]*\n {2}stopped for \d[\dmsh ]* to be copied$/m);
    const [newest] = await list();
    const held = newest?.members.find(({ datastore }) => datastore === "neo4j")?.snapshot;
    assert.equal(held?.copying, "stopped");
    assert.ok((held.heldMs ?? 0) > 0 && (held.heldMs ?? 0) < 60_000, `${held.heldMs} ms`);

    // What each client had been told is in the copy, and of what came later a beginning without a gap. The restore below shows the same.
    const rows = (/^COPY public\.written [^\n]*\n([^]*?)^\\\.$/m.exec(readFileSync(join(made, files[0]), "utf8"))?.[1] ?? "").split("\n");
    const counts = [rows.length - 1, Number(/keys\.db0: (\d+)$/m.exec(info)?.[1]) - 501];
    for (const [at, count] of counts.entries()) assert.ok(count >= (before[at] ?? 0), `${at}: ${count} of ${before[at]}`);
    for (const at of [2, 3] as const) assert.ok((before[at] ?? 0) >= 5);
  });

  test("W3 W6 W9 a restore by the time in its name tells of all four, starts their servers again and runs the health script", async () => {
    const name = await findWhole();
    const stamp = name.replace("whisperengine_backup_", "");
    assert.match(
      (await server.holdfast(["list", "whisperengine"])).stdout,
      new RegExp(`^${name}\t.*\tpostgres, redis, chromadb, neo4j\t`, "m"),
    );
    spoilt = await spoil();
    const bot = await site.bot.pid();
    const calls = site.docker.readCalls().length;
    const shown = await holdfast("restore", stamp, "--yes");
    for (const service of services)
      assert.match(shown, new RegExp(`^verifying ${service}\n[^]*^staged ${service}\n[^]*^swapped ${service}$`, "m"));
    const called = site.docker
      .readCalls()
      .slice(calls)
      .map((call) => call.slice(-2).join(" "));
    for (const service of ["chromadb", "neo4j"]) {
      assert.ok(called.includes(`stop ${service}`));
      assert.ok(called.includes(`start ${service}`));
    }
    assert.notEqual(await site.bot.pid(), undefined, "it runs");
    assert.notEqual(await site.bot.pid(), bot, "it was stopped and started");
    assert.ok(existsSync(join(site.home, "healthy")), "the health script has run");
    saved = await readWorld();
    assert.equal(saved.memories, "2000");
    assert.equal(site.redis.call("GET", "later"), "");
    assert.deepEqual(saved.graph, [500, 1, 500]);
    assert.deepEqual([saved.chroma.memories, saved.chroma.nearest], [1_500, "id1234"]);
    for (const numbers of [saved.rows, saved.chroma.written, saved.nodes]) {
      assert.ok(numbers.length >= 5);
      assert.deepEqual(numbers, countTo(numbers.length), "a beginning of what was written");
    }
    assert.equal(statSync(site.inVolumes.neo4j.data).uid, 65_534, "the container's user can write to it");
  });

  test("W6 undo takes the restore back, of all four", async () => {
    await holdfast("undo", "--yes");
    assert.deepEqual(await readWorld(), spoilt);
  });

  test("W5 Redis does not run, nor does Neo4j: a partial backup without Redis; Neo4j is copied as it stands, and stays down", async () => {
    await site.redis.stop("shutdown");
    await site.docker.run("compose", "stop", "neo4j");
    const { status, stdout } = await server.holdfast(["backup", "whisperengine"]);
    assert.equal(status, 3, stdout);
    assert.match(stdout, /partial: redis: it is not there and was left out/);
    const [partial] = await list();
    assert.deepEqual(
      partial?.members.map((member) => `${member.datastore} ${member.status}`),
      ["postgres ok", "redis failed", "chromadb ok", "neo4j ok"],
    );
    await assert.rejects(site.inVolumes.neo4j.ask("RETURN 1"), "nobody has started it");
    const info = readFileSync(join(site.backups, partial?.name ?? "", "backup_info.txt"), "utf8");
    assert.match(info, /^Status: +partial$/m);
    assert.match(info, /^redis \(redis\): failed/m);
    await site.redis.start();
    site.redis.call("SET", "newer", "1");
    site.postgres.execute("delete from memories", "whisper");
    const restored = await server.holdfast(["restore", partial?.name ?? "", "--yes", "--accept-doubtful"]);
    assert.equal(restored.status, 0, restored.stderr);
    assert.match(restored.stderr, /redis is not in this backup and stays as it is now/);
    assert.equal(site.redis.call("GET", "newer"), "1");
    site.redis.call("DEL", "newer");
    assert.deepEqual(await readWorld(), spoilt);
  });

  test("W3 W5 the cleanup by days does not take a complete backup, however old, for a partial one that is newer", async () => {
    const name = await findWhole();
    await daemon.stop();
    await backdateBackup(join(site.backups, name), { createdAtMs: Date.now() - 40 * 86_400_000, sequence: 1 });
    daemon = await server.start();
    const plan = await server.json<{ removeCount: number }>(["prune", "whisperengine", "--older-than", "7d", "--plan"]);
    assert.equal(plan.removeCount, 0);
    await holdfast("prune", "whisperengine", "--older-than", "7d", "--yes");
    assert.ok(existsSync(join(site.backups, name)));
  });

  test("W5 nothing runs and no volume can be found: failed, nothing is published", async () => {
    const before = readdirSync(site.backups).toSorted();
    await site.docker.run("compose", "stop", "chromadb", "neo4j");
    site.docker.change({ engine: "away" });
    const none = await server.holdfast(["backup", "whisperengine"]);
    site.docker.change({ engine: undefined });
    assert.equal(none.status, 1);
    assert.match(none.stderr, /none of its datastores is there: "postgres": [^]*"redis": [^]*"chromadb": [^]*"neo4j": /);
    assert.deepEqual(readdirSync(site.backups).toSorted(), before);
  });

  test("W13 a backup that was copied with cp -r restores from there, without marker, catalog or daemon", async () => {
    const name = await findWhole();
    const elsewhere = join(server.dir, "elsewhere");
    cpSync(join(site.backups, name), join(elsewhere, name), { recursive: true });
    await daemon.kill();
    for (const path of [join(server.dir, "state"), site.backups]) rmSync(path, { recursive: true });
    await holdfast("restore", "--offline", join(elsewhere, name), "--yes");
    await site.docker.run("compose", "start", "chromadb", "neo4j");
    await site.inVolumes.waitUntilUp();
    assert.deepEqual(await readWorld(), saved);
    for (const call of site.docker.readCalls()) assert.doesNotMatch(call.join(" "), /canary|geheim/);
  });
});
