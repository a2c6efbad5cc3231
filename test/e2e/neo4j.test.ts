import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Manifest } from "../../src/archive/manifest.ts";
import type { Run } from "../../src/catalog/contract.ts";
import type { RunningDaemon } from "../support/daemon.ts";
import { killWorkers } from "../support/daemon-runs.ts";
import { findGuards } from "../support/find-guards.ts";
import { openNeo4jSite, type Neo4jSite } from "../support/neo4j-site.ts";
import { neo4jAccount } from "../support/neo4j.ts";
import { waitUntil } from "../support/wait-until.ts";

const patient = { withinMs: 120_000 };
/** Java starts and stops many times in these. */
const slow = { timeout: 300_000 };

/** The steps follow one another: starting Java is what takes time. */
describe("Neo4j by the daemon, its service really stopped and started", { timeout: 900_000 }, () => {
  let site: Neo4jSite;
  let daemon: RunningDaemon;
  /** Told by the server to be written, and when. */
  const acknowledged: { readonly n: number; readonly atMs: number }[] = [];

  before(async () => {
    site = await openNeo4jSite();
    execFileSync(join(site.installation.dir, "control"), ["start"]);
    await site.server.ask("UNWIND range(1, 200) AS i CREATE (:Person {n: i})-[:KNOWS]->(:Person {n: -i})");
    daemon = await site.installation.start();
  });
  after(() => site[Symbol.asyncDispose]());

  const holdfast = async (...args: readonly string[]): Promise<string> => {
    const { status, stdout, stderr } = await site.installation.holdfast(args);
    assert.equal(status, 0, stdout + stderr);
    return stdout + stderr;
  };
  const countPeople = (): Promise<unknown> => site.server.ask("MATCH (p:Person) RETURN count(p)");
  const listWritten = async (): Promise<readonly number[]> =>
    ((await site.server.ask("MATCH (w:Written) RETURN collect(w.n)")) as number[]).toSorted((one, other) => one - other);
  const listBackups = (): Promise<readonly { readonly name: string }[]> => site.installation.json(["list", "nightly"]);
  const lastRun = async (): Promise<Run | undefined> => (await site.installation.json<readonly Run[]>(["runs", "--limit", "1"]))[0];
  const waitForRelease = (): Promise<unknown> => {
    const holds = join(site.installation.dir, "state/holds");
    return waitUntil("the hold is let go", () => findGuards(holds).length === 0, patient);
  };
  const listAside = (): readonly string[] => readdirSync(site.server.data).filter((name) => name.startsWith(".holdfast"));

  /** Has something asked for, waits for it to come to a shut gate. What is asked for may fail. */
  async function comeTo(
    gate: "stop" | "start" | "copy",
    args: readonly string[],
  ): Promise<{ readonly ended: Promise<{ readonly status: number; readonly stderr: string }> }> {
    const before = site.countAt(gate);
    site.shut(gate);
    const ended = site.installation.holdfast(args);
    await waitUntil(`the ${gate}`, () => site.countAt(gate) > before, patient);
    return { ended };
  }

  test("W1 a backup under load: stopped for the copy alone, within its time, and all that was acknowledged before is in it", async () => {
    const stop = new AbortController();
    const writing = (async () => {
      for (let n = 0; !stop.signal.aborted; n += 1)
        await site.server.ask(`CREATE (:Written {n: ${n}})`).then(
          () => acknowledged.push({ n, atMs: Date.now() }),
          () => new Promise((resolve) => setTimeout(resolve, 20)),
        );
    })();
    await waitUntil("writes", () => acknowledged.length > 20);
    await holdfast("backup", "nightly");
    const stoppedAtMs = site.listStops()[0] ?? assert.fail("it was not stopped");
    await waitUntil("writes after it", () => (acknowledged.at(-1)?.atMs ?? 0) > stoppedAtMs + 100, patient);
    stop.abort();
    await writing;
    const manifest = await site.installation.json<Manifest>(["show", "--manifest"]);
    const member = manifest.members[0] ?? assert.fail();
    assert.equal(member.snapshot?.copying, "stopped");
    assert.ok((member.snapshot?.heldMs ?? 0) > 500 && (member.snapshot?.heldMs ?? Infinity) < 60_000, String(member.snapshot?.heldMs));
    assert.match(await holdfast("show"), /stopped for \d/);
    const before = acknowledged.filter(({ atMs }) => atMs < stoppedAtMs).length;
    const written = member.contents.counts["nodes.Written"] ?? 0;
    assert.ok(before > 20 && written >= before && written < acknowledged.length, `${before} ${written} ${acknowledged.length}`);
    assert.equal(member.contents.counts["nodes.Person"], 400);
    assert.ok(site.isRunning());
  });

  test("W13 a drill and a restore elsewhere find the programs that the config names", async () => {
    await holdfast("drill");
    assert.doesNotMatch(await holdfast("show"), /drilled +never/);
    const [{ name } = assert.fail()] = await listBackups();
    assert.match(await holdfast("restore", name, "--to", join(site.installation.dir, "elsewhere"), "--yes"), /restored and compared/);
  });

  test("F1 kill -9 of the daemon while the server is stopped for the copy: it runs again without the next daemon", async () => {
    const { ended } = await comeTo("copy", ["backup", "nightly"]);
    assert.equal(site.isRunning(), false);
    await daemon.kill();
    await site.waitUntilRunning();
    await ended;
    assert.equal(await countPeople(), 400);
    site.open("copy");
    daemon = await site.installation.start();
    await waitForRelease();
    assert.equal((await listBackups()).length, 1);
  });

  test("F4 kill -9 of the worker while the server is stopped for the copy: it runs again, the run has failed", async () => {
    const { ended } = await comeTo("copy", ["backup", "nightly"]);
    const { taskId } = (await lastRun()) ?? assert.fail();
    assert.ok(killWorkers(taskId) > 0);
    await site.waitUntilRunning();
    assert.notEqual((await ended).status, 0);
    site.open("copy");
    assert.equal((await listBackups()).length, 1);
  });

  test("a copy that takes longer than maxDowntime: the server runs again, and the run has failed and says why", async () => {
    await site.installation.writeConfig(site.createConfig("15s"));
    await holdfast("reload");
    const { ended } = await comeTo("copy", ["backup", "nightly"]);
    const { status, stderr } = await ended;
    site.open("copy");
    assert.notEqual(status, 0);
    assert.match(stderr, /hold-exceeded|longer than|15 ?s/);
    await site.waitUntilRunning();
    assert.equal(await countPeople(), 400);
    assert.equal((await listBackups()).length, 1);
    await site.installation.writeConfig(site.createConfig("60s"));
    await holdfast("reload");
  });

  test(
    "W6 G6 a restore stops the server, swaps, starts it and asks it; every file has the owner of the data; an undo takes it back",
    slow,
    async () => {
      await site.server.ask("MATCH (p:Person) WHERE p.n < 0 DETACH DELETE p");
      const stops = site.listStops();
      const now = await listWritten();
      const said = await holdfast("restore", "latest", "--job", "nightly", "--yes");
      assert.doesNotMatch(said, /unproven|not proven/i);
      assert.equal(site.listStops().length, stops.length + 1, "one stop is enough");
      assert.equal(await countPeople(), 400);
      const restored = await listWritten();
      const before = acknowledged.filter(({ atMs }) => atMs < (stops[0] ?? 0)).map(({ n }) => n);
      assert.deepEqual(
        before.filter((n) => !restored.includes(n)),
        [],
        "what was acknowledged is there",
      );
      assert.ok(restored.length < now.length);
      assert.equal(
        execFileSync("find", [site.server.data, "!", "-uid", String(neo4jAccount), "-o", "!", "-gid", String(neo4jAccount)], {
          encoding: "utf8",
        }),
        "",
      );
      await holdfast("undo", "--yes");
      assert.deepEqual([await countPeople(), await listWritten()], [200, now]);
      assert.equal(execFileSync("find", [site.server.data, "!", "-uid", String(neo4jAccount)], { encoding: "utf8" }), "");
      assert.deepEqual(listAside(), []);
    },
  );

  for (const [title, gate] of [
    ["after the stop", "stop"],
    ["after the swap", "start"],
  ] as const)
    test(
      `F1 G6 kill -9 of the daemon during a restore, ${title}: the next one ends it, and the server runs on whole data`,
      slow,
      async () => {
        const people = await countPeople();
        const { ended } = await comeTo(gate, ["restore", "latest", "--job", "nightly", "--yes"]);
        assert.equal(site.isRunning(), false);
        await daemon.kill();
        await ended;
        site.open(gate);
        daemon = await site.installation.start();
        await waitUntil("the restore is ended", () => listAside().length === 0, patient);
        await site.waitUntilRunning();
        assert.ok([people, 400].includes(await countPeople()), "what there was, or what was restored");
        assert.equal(execFileSync("find", [site.server.data, "!", "-uid", String(neo4jAccount)], { encoding: "utf8" }), "");
        assert.equal((await site.installation.holdfast(["status"])).stdout.includes("unfinished"), false);
      },
    );
});
