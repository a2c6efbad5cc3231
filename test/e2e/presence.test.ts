import assert from "node:assert/strict";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startDaemon, type StartedDaemon } from "../support/daemon.ts";
import { execute, query } from "../support/sqlite.ts";

const createConfig = (dir: string): string => `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  graph: { kind: sqlite, path: ${dir}/data/graph.db }
  notes: { kind: files, root: ${dir}/data/notes }
jobs:
  bot:
    datastores: [graph, notes]
    onMissing: skip
    destination: local
    infoFiles: [backup_info.txt]
    retry: { attempts: 1 }
`;

interface Listed {
  readonly name: string;
  readonly status: string;
  readonly members: readonly { readonly datastore: string; readonly status: string }[];
}

interface Plan {
  readonly datastores: readonly { readonly datastore: string }[];
  readonly untouched: readonly string[];
  readonly losses: readonly string[];
}

/** The steps follow one another on one installation. */
describe("services that are not there", { timeout: 600_000 }, () => {
  let daemon: StartedDaemon;
  let data = "";
  let partial = "";

  before(async () => {
    daemon = await startDaemon({ config: createConfig, init: ["local"] });
    data = join(daemon.dir, "data");
    mkdirSync(join(data, "notes"), { recursive: true });
    writeFileSync(join(data, "notes/a.txt"), "one");
    execute(join(data, "graph.db"), "CREATE TABLE node (id); INSERT INTO node VALUES (1)");
  });

  after(async () => {
    await daemon[Symbol.asyncDispose]();
  });

  it("W5 a service that is not there is left out with a warning, and never stands for the last whole backup", async () => {
    assert.equal((await daemon.holdfast(["backup", "bot"])).status, 0);
    const [whole] = await daemon.json<readonly Listed[]>(["list", "bot"]);
    renameSync(join(data, "graph.db"), join(data, "graph.away"));
    const { status, stdout } = await daemon.holdfast(["backup", "bot"]);
    assert.equal(status, 3, stdout);
    assert.match(stdout, /^partial: .*graph: it is not there and was left out: .*graph\.db/m);
    const [newest] = await daemon.json<readonly Listed[]>(["list", "bot"]);
    partial = newest?.name ?? "";
    assert.deepEqual(
      newest?.members.map(({ datastore, status: state }) => `${datastore} ${state}`),
      ["graph failed", "notes ok"],
    );
    const latest = await daemon.json<{ readonly backup: Listed }>(["show", "latest", "--job", "bot"]);
    assert.equal(latest.backup.name, whole?.name);
  });

  it("W3 W5 list, show and report tell which services succeeded and which were left out, and how to restore", async () => {
    assert.match((await daemon.holdfast(["list", "bot"])).stdout, new RegExp(`^${partial}\t.*\tgraph \\(failed\\), notes\t`, "m"));
    const { stdout } = await daemon.holdfast(["show", partial]);
    assert.match(stdout, /^ {2}graph \(sqlite\) {2}failed/m);
    assert.match(stdout, /partial: it is not there and was left out/);
    assert.match(stdout, new RegExp(`restore +holdfast restore ${partial} --accept-doubtful$`, "m"));
    assert.match((await daemon.holdfast(["show", partial, "--info"])).stdout, /^graph \(sqlite\): failed$/m);
    assert.match((await daemon.holdfast(["report"])).stdout, new RegExp(`${partial} .*not good: without all of graph$`, "m"));
  });

  it("W5 W6 a partial backup restores what it has, says what it has not, and leaves that alone", async () => {
    const plan = await daemon.json<Plan>(["restore", partial, "--plan"]);
    assert.deepEqual(
      plan.datastores.map(({ datastore }) => datastore),
      ["notes"],
    );
    assert.deepEqual(plan.untouched, ["graph"]);
    assert.equal(plan.losses[0], "graph is not in this backup and stays as it is now");
    assert.equal((await daemon.holdfast(["restore", partial, "--only", "graph", "--plan"])).status, 6);
    assert.equal((await daemon.holdfast(["restore", partial, "--yes"])).status, 7);

    renameSync(join(data, "graph.away"), join(data, "graph.db"));
    execute(join(data, "graph.db"), "INSERT INTO node VALUES (2)");
    writeFileSync(join(data, "notes/a.txt"), "changed");
    const { status, stdout, stderr } = await daemon.holdfast(["restore", partial, "--yes", "--accept-doubtful"]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^ok: notes restored .*\n {2}notes: replaces the directory$/m);
    assert.equal(readFileSync(join(data, "notes/a.txt"), "utf8"), "one");
    assert.deepEqual(query(join(data, "graph.db"), "SELECT group_concat(id) FROM node"), "1,2");
  });

  it("W5 the same without the daemon", async () => {
    writeFileSync(join(data, "notes/a.txt"), "changed again");
    const path = join(daemon.dir, "backups/bot", partial);
    const told = await daemon.holdfast(["restore", "--offline", path, "--plan"]);
    assert.match(told.stdout, /graph: not in this backup, and stays as it is now/);
    const { status, stderr } = await daemon.holdfast(["restore", "--offline", path, "--yes", "--accept-doubtful"]);
    assert.equal(status, 0, stderr);
    assert.equal(readFileSync(join(data, "notes/a.txt"), "utf8"), "one");
  });

  it("W6 a datastore that is gone comes back beside one that is there, and undo makes it go again", async () => {
    rmSync(join(data, "graph.db"));
    const { status, stdout, stderr } = await daemon.holdfast(["restore", "latest", "--job", "bot", "--yes"]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^ {2}graph: replaces the file\n {2}notes: replaces the directory$/m);
    assert.deepEqual(query(join(data, "graph.db"), "SELECT group_concat(id) FROM node"), "1");
    assert.equal((await daemon.holdfast(["undo", "--yes"])).status, 0);
    assert.throws(() => readFileSync(join(data, "graph.db")), { code: "ENOENT" });
  });

  it("W5 no service running at all: failed, and nothing is published", async () => {
    const list = await daemon.json<readonly Listed[]>(["list", "bot"]);
    rmSync(join(data, "notes"), { recursive: true });
    const { status, stderr } = await daemon.holdfast(["backup", "bot"]);
    assert.equal(status, 1);
    assert.match(stderr, /none of its datastores is there: "graph": .*; "notes": /);
    assert.deepEqual(await daemon.json<readonly Listed[]>(["list", "bot"]), list);
  });

  it("A6 single tables are asked for of one datastore, and of a kind that has them", async () => {
    const call = async (...args: string[]): Promise<string> => {
      const { status, stderr } = await daemon.holdfast(["restore", "latest", "--job", "bot", "--table", "node", "--yes", ...args]);
      assert.equal(status, 2);
      return stderr;
    };
    assert.match(await call(), /Single tables are restored of one datastore, and the backup has 2\n.*--only graph, or --only notes/);
    assert.match(await call("--only", "notes"), /Of "notes" no single table can be restored: it is of the kind files\n.*--path/);
    assert.match(await call("--plan", "--only", "notes"), /it is of the kind files/);
  });
});
