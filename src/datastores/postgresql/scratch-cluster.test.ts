import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { waitUntil } from "../../../test/support/wait-until.ts";
import { HoldfastError } from "../../base/errors.ts";
import { openScratchCluster, type ScratchCluster } from "./scratch-cluster.ts";

const quiet = new AbortController().signal;
const root = "/usr/lib/postgresql";
const majors = readdirSync(root).filter((name) => existsSync(join(root, name, "bin/initdb")));

function makeDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "scratch-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function ask(cluster: ScratchCluster, sql: string, uid = 0): { readonly stdout: string; readonly stderr: string } {
  const args = ["-X", "-At", "-h", cluster.host, "-p", String(cluster.port), "-U", cluster.user, "-d", "postgres", "-c", sql];
  const { stdout, stderr } = spawnSync(join(cluster.binDir, "psql"), args, { encoding: "utf8", uid, gid: uid });
  return { stdout: stdout.trim(), stderr };
}

test("the servers that the tests need are installed", () => assert.notEqual(majors.length, 0));

for (const major of majors) {
  const binDir = join(root, major, "bin");

  test(`PostgreSQL ${major}: a scratch server runs as nobody, listens to no network and lets in only us and its own account`, async (t) => {
    const directory = makeDirectory(t);
    await using cluster = await openScratchCluster({ binDir, directory }, quiet);
    const sql = "SELECT current_setting('server_version_num')::int / 10000, current_setting('listen_addresses'), current_user";
    assert.equal(ask(cluster, sql).stdout, `${major}||${cluster.user}`);
    assert.equal(ask(cluster, "SELECT 1", cluster.identity?.uid).stdout, "1");
    assert.match(ask(cluster, "SELECT 1", 1).stderr, /Permission denied/);
    assert.match(spawnSync("stat", ["-c", "%U %a", join(directory, "cluster")], { encoding: "utf8" }).stdout, /^nobody 700/);
    // Roles of any dump can be made, and tablespaces wherever they were.
    assert.equal(ask(cluster, "CREATE ROLE postgres SUPERUSER").stderr, "");
    assert.equal(ask(cluster, "CREATE TABLESPACE fast LOCATION ''").stderr, "");
  });

  test(`PostgreSQL ${major}: a closed scratch server is gone with its data, clients or none`, async (t) => {
    const directory = makeDirectory(t);
    const cluster = await openScratchCluster({ binDir, directory }, quiet);
    const args = ["-X", "-h", cluster.host, "-U", cluster.user, "-d", "postgres", "-c", "SELECT pg_sleep(60)"];
    const client = spawn(join(binDir, "psql"), args, { stdio: "ignore" });
    const ended = once(client, "exit");
    const sleepers = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    await waitUntil("a client that sleeps", () => ask(cluster, sleepers).stdout === "1");
    await cluster[Symbol.asyncDispose]();
    await ended;
    assert.deepEqual(readdirSync(directory), []);
  });
}

const binDir = join(root, majors[0] ?? "", "bin");

test("a scratch server in a directory whose path is too long for a socket has it elsewhere, and removes it", async (t) => {
  const directory = join(makeDirectory(t), "long".repeat(20), "path".repeat(20));
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  let host: string;
  {
    await using cluster = await openScratchCluster({ binDir, directory }, quiet);
    host = cluster.host;
    assert.equal(ask(cluster, "SELECT 1").stdout, "1");
  }
  assert.equal(existsSync(host), false);
});

test("a scratch server dies with the process that started it", async (t) => {
  const directory = makeDirectory(t);
  const program = `import { openScratchCluster } from ${JSON.stringify(join(import.meta.dirname, "scratch-cluster.ts"))};
    await openScratchCluster(${JSON.stringify({ binDir, directory })}, new AbortController().signal); console.log("up"); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await waitUntil("the server's end", () => spawnSync("pgrep", ["-f", directory], { encoding: "utf8" }).stdout.trim() === "");
});

test("starting a scratch server can be stopped, and leaves nothing", async (t) => {
  const directory = makeDirectory(t);
  const isCancelled = (error: unknown): boolean => error instanceof HoldfastError && error.code === "cancelled";
  await assert.rejects(openScratchCluster({ binDir, directory }, AbortSignal.abort()), isCancelled);
  const stop = new AbortController();
  const opening = openScratchCluster({ binDir, directory }, stop.signal);
  await waitUntil("a server that starts", () => existsSync(join(directory, "cluster/postmaster.pid")), { pollMs: 5 });
  stop.abort();
  await assert.rejects(opening, isCancelled);
  assert.deepEqual(readdirSync(directory), []);
});

test("a scratch server that cannot start says why", async (t) => {
  const directory = makeDirectory(t);
  await assert.rejects(openScratchCluster({ binDir: "/nonexistent/bin", directory }, quiet), (error) => {
    assert.ok(error instanceof HoldfastError);
    assert.equal(error.code, "tool-missing");
    return true;
  });
  assert.deepEqual(readdirSync(directory), []);
});
