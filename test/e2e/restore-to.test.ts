import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { RestorePlan } from "../../src/operations/plan-restore.ts";
import { makeChatDatabase } from "../support/chat-database.ts";
import { createInstallation, type Installation } from "../support/daemon.ts";
import { querySqlite } from "../support/run-command.ts";
import { refuse, run } from "../support/run-holdfast.ts";

const count = "SELECT count(*) FROM messages";

const hook = (dir: string, what: string): string => `{ command: [sh, -c, "echo ${what} >> ${dir}/hooks"] }`;

const createConfig = (dir: string): string => `
destinations:
  disk: { kind: local, path: ${dir}/disk }
datastores:
  live: { kind: sqlite, path: ${dir}/live/chat.db }
  lab: { kind: sqlite, path: ${dir}/lab/other.db }
  shared: { kind: sqlite, path: ${dir}/shared/s.db, optional: true }
  tree: { kind: files, root: ${dir}/tree }
  tree2: { kind: files, root: ${dir}/tree2 }
  pruned: { kind: files, root: ${dir}/pruned, exclude: ["cache"] }
  loose: { kind: files, include: ["${dir}/loose/*.txt"] }
jobs:
  nightly:
    datastores: [live, tree]
    destination: disk
    restore: { stop: [${hook(dir, "stop-live")}], start: [${hook(dir, "start-live")}] }
  lab:
    datastores: [lab, tree2, pruned, loose]
    destination: disk
    restore: { stop: [${hook(dir, "stop-lab")}], start: [${hook(dir, "start-lab")}] }
  one: { datastores: [shared], destination: disk }
  two: { datastores: [shared], destination: disk }
`;

async function openWorld(): Promise<Installation> {
  const installation = await createInstallation({ config: createConfig, init: ["disk"] });
  const { dir } = installation;
  for (const name of ["live", "lab", "shared", "tree", "tree2", "pruned/cache", "loose"]) mkdirSync(join(dir, name), { recursive: true });
  makeChatDatabase(join(dir, "live/chat.db"), { messages: 30 });
  makeChatDatabase(join(dir, "lab/other.db"), { messages: 7, seed: 2 });
  mkdirSync(join(dir, "tree/cache"));
  writeFileSync(join(dir, "tree/cache/one"), "one");
  writeFileSync(join(dir, "tree/file.txt"), "of the tree");
  writeFileSync(join(dir, "tree/tool"), "of root");
  chmodSync(join(dir, "tree/tool"), 0o4755);
  execFileSync("mknod", [join(dir, "tree/node"), "c", "1", "3"]);
  writeFileSync(join(dir, "tree2/mine"), "mine");
  writeFileSync(join(dir, "pruned/keep"), "keep");
  writeFileSync(join(dir, "loose/a.txt"), "a");
  await installation.start();
  await run(installation, "backup", "nightly");
  return installation;
}

const readHooks = (dir: string): string => (existsSync(join(dir, "hooks")) ? readFileSync(join(dir, "hooks"), "utf8") : "");

test(
  "G6 --to DATASTORE: another database gets the data, the plan says so, its own job's hooks run, and undo brings it back",
  { timeout: 240_000 },
  async () => {
    await using installation = await openWorld();
    const { dir } = installation;
    const before = await querySqlite(join(dir, "lab/other.db"), ".dump");
    const to = ["restore", "latest", "--job", "nightly", "--only", "live", "--to", "lab"] as const;
    const plan = await installation.json<RestorePlan>([...to, "--plan"]);
    assert.deepEqual(plan.to, { live: "lab" });
    assert.deepEqual(
      plan.datastores.map(({ datastore, to: into, places }) => [datastore, into, places]),
      [["live", "lab", [join(dir, "lab/other.db")]]],
    );
    assert.match(plan.stop.join(), /stop-lab/);
    assert.match(plan.datastores[0]?.now?.summary ?? "", /SQLite|KiB/);
    assert.match(await run(installation, ...to, "--plan"), /into +lab/);
    assert.equal(await querySqlite(join(dir, "lab/other.db"), count), "7");

    assert.match(await run(installation, ...to, "--yes"), /To take it back: `holdfast undo /);
    assert.equal(await querySqlite(join(dir, "lab/other.db"), count), "30");
    assert.equal(readHooks(dir), "stop-lab\nstart-lab\n");
    const pre = await installation.json<readonly { readonly job: string; readonly members: readonly { readonly datastore: string }[] }[]>([
      "list",
      "--pre-restore",
    ]);
    assert.deepEqual(
      pre.map(({ job, members }) => [job, members.map(({ datastore }) => datastore)]),
      [["lab", ["lab"]]],
    );

    assert.match(await run(installation, "undo", "--plan"), /lab\/other\.db/);
    await run(installation, "undo", "--yes");
    assert.equal(await querySqlite(join(dir, "lab/other.db"), ".dump"), before);
    assert.equal(await querySqlite(join(dir, "live/chat.db"), count), "30");
    assert.equal(readHooks(dir), "stop-lab\nstart-lab\n".repeat(2));
  },
);

test(
  "G6 --to DATASTORE: absence comes back by undo, several jobs or none stop nothing, and the plan says why",
  { timeout: 240_000 },
  async () => {
    await using installation = await openWorld();
    const { dir } = installation;
    const to = ["restore", "latest", "--job", "nightly", "--to", "live=shared"] as const;
    assert.match(await run(installation, ...to, "--plan"), /2 jobs have shared, so no application is stopped/);
    await run(installation, ...to, "--yes");
    assert.equal(await querySqlite(join(dir, "shared/s.db"), count), "30");
    await run(installation, ...to, "--yes");
    assert.match(await run(installation, "undo", "--plan"), /stopped nothing/);
    await run(installation, "undo", "--yes");
    assert.equal(await querySqlite(join(dir, "shared/s.db"), count), "30");
    assert.equal(readHooks(dir), "");
  },
);

test(
  "F61 --to DATASTORE refuses another kind, an unknown name, two for one, and what the target would not back up",
  { timeout: 240_000 },
  async () => {
    await using installation = await openWorld();
    const { dir } = installation;
    const to = (...targets: readonly string[]): string[] => [
      "restore",
      "latest",
      "--job",
      "nightly",
      "--yes",
      ...targets.flatMap((target) => ["--to", target]),
    ];
    assert.match(
      await refuse(installation, 2, ...to("live=tree2")),
      /kind sqlite, and "tree2" of the kind files[^]*Of the kind sqlite: live, lab, shared/,
    );
    assert.match(await refuse(installation, 4, ...to("live=labb")), /Did you mean "lab"\?/);
    assert.match(await refuse(installation, 2, ...to("lab")), /does not say which of live, tree goes there/);
    assert.match(await refuse(installation, 4, ...to("nothing=lab")), /has no datastore "nothing"/);
    assert.match(await refuse(installation, 2, ...to("live=lab", "live=shared")), /two targets/);
    assert.match(await refuse(installation, 2, ...to("live=database:x")), /no databases/);
    // A tree into single files, and a tree with what the target leaves out: an undo could not take them back.
    assert.match(await refuse(installation, 7, ...to("tree=loose")), /does not fit "loose"/);
    assert.match(await refuse(installation, 7, ...to("tree=pruned")), /has cache, which `exclude` of this datastore leaves out/);
    assert.equal(readFileSync(join(dir, "pruned/keep"), "utf8"), "keep");
    assert.equal(readFileSync(join(dir, "loose/a.txt"), "utf8"), "a");
    // No such refusal calls the backup damaged.
    assert.doesNotMatch(await run(installation, "list"), /DAMAGED|damaged/);
    await run(installation, ...to("tree=tree2"));
    assert.equal(readFileSync(join(dir, "tree2/file.txt"), "utf8"), "of the tree");
    await run(installation, "undo", "--yes");
    assert.equal(readFileSync(join(dir, "tree2/mine"), "utf8"), "mine");
    assert.equal(existsSync(join(dir, "tree2/file.txt")), false);
  },
);

test(
  "W13 F57 --to /DIRECTORY: the caller's own process restores below an empty directory, and nothing is stopped",
  { timeout: 240_000 },
  async () => {
    await using installation = await openWorld();
    const { dir } = installation;
    const to = (path: string, ...more: readonly string[]): string[] => [
      "restore",
      "latest",
      "--job",
      "nightly",
      "--to",
      path,
      "--yes",
      ...more,
    ];
    assert.match(await run(installation, ...to(join(dir, "out"), "--plan")), /Nothing is stopped/);
    assert.equal(existsSync(join(dir, "out")), false);
    const said = await run(installation, ...to(join(dir, "out")));
    assert.match(said, /tree: 1 device node was not made[^]*tree: 1 file lost the set-uid or set-gid bit/);
    assert.equal(statSync(join(dir, "out/tree/tree/tool")).mode & 0o7777, 0o755);
    assert.equal(existsSync(join(dir, "out/tree/tree/node")), false);
    assert.equal(await querySqlite(join(dir, "out/live/chat.db"), count), "30");
    assert.equal(readFileSync(join(dir, "out/tree/tree/file.txt"), "utf8"), "of the tree");
    await run(installation, ...to(join(dir, "only"), "--only", "tree"));
    assert.equal(existsSync(join(dir, "only/live")), false);
    assert.equal(readHooks(dir), "");
    assert.match(await refuse(installation, 7, ...to(join(dir, "out"))), /is not empty/);
  },
);
