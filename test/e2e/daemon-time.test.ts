import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import Database from "better-sqlite3";
import { createFakeTime } from "../support/fake-time.ts";
import { createRunBed, freezeTask } from "../support/daemon-runs.ts";
import { waitUntil } from "../support/wait-until.ts";

const hourMs = 3_600_000;

describe("time", { concurrency: 2 }, () => {
  test("G1 F65 after downtime a schedule is made up for once, and the other slots are recorded as missed", async () => {
    await using bed = await createRunBed(`  hourly: { datastores: [one], destination: local, schedule: { every: 1h } }\n`);
    const first = await bed.start();
    assert.deepEqual(await bed.runs(), [], "nothing is due at the first start");
    await first.stop();
    const catalog = new Database(join(bed.dir, "state/catalog.db"));
    const past = Date.now() - 5.5 * hourMs;
    catalog.prepare("UPDATE slots SET first_seen_ms = ?, last_slot_ms = ?").run(past - 10 * hourMs, Math.floor(past / hourMs) * hourMs);
    catalog.close();
    const second = await bed.start();
    await second.waitForLog(/backup of job .*hourly.* ended ok/);
    const runs = await bed.runs();
    assert.deepEqual(runs.map(({ state }) => state).toSorted(), ["missed", "ok"]);
    const missed = runs.find(({ state }) => state === "missed");
    assert.ok([4, 5].includes(missed?.missedCount ?? 0), JSON.stringify(missed));
    assert.match(runs.find(({ state }) => state === "ok")?.trigger ?? "", /schedule .*catch-up/);
    await second.kill();
    const third = await bed.start();
    await third.waitForLog(/Ready/);
    assert.equal((await bed.runs()).length, 2);
  });

  test("F64 a clock that jumps freezes retention, is shown, and runs nothing twice", async () => {
    await using place = await createRunBed(`  none: { datastores: [one], destination: local }\n`);
    const clock = createFakeTime(place.dir, Date.now());
    await using bed = await createRunBed(
      `  hourly: { datastores: [one], destination: local, schedule: { every: 1h }, retention: { keepWithin: 1d } }\n`,
      () => "",
      clock.env,
    );
    const daemon = await bed.start();
    assert.equal((await bed.end(await bed.ask("hourly"))).state, "done");
    // Ten years ahead: one slot is due, retention would find everything too old.
    clock.moveTo(Date.now() + 87_600 * hourMs);
    await daemon.waitForLog(/backup of job .*hourly.* ended ok[^]*backup of job .*hourly.* ended ok/);
    const ahead = await bed.status();
    assert.match(ahead.problems.join(), /the clock jumped forward by .*retention is frozen/);
    assert.equal(ahead.jobs[0]?.backups, 2);
    clock.moveTo(Date.now() - 48 * hourMs);
    await waitUntil("the clock's way back", async () => (await bed.status()).problems.join().includes("the clock jumped back"));
    assert.equal((await bed.end(await bed.ask("hourly"))).state, "done");
    const runs = await bed.runs();
    assert.equal(runs.filter(({ kind, state }) => kind === "backup" && state === "ok").length, 3);
    assert.equal(runs.filter(({ kind }) => kind === "remove").length, 0);
    assert.equal((await bed.status()).jobs[0]?.backups, 3);
  });
});

describe("F67 reload", { concurrency: 2 }, () => {
  const jobs = (compression: string): string =>
    `  job: { datastores: [one], destination: local, layout: archive, compression: ${compression} }\n`;

  test("all of it or nothing, while a run goes on: the run keeps what it began with, a refusal stands in the status until it is mended", async () => {
    await using bed = await createRunBed(jobs("gzip"));
    await bed.start();
    const text = (compression: string): string =>
      `destinations:\n  local: { kind: local, path: ${bed.dir}/backups }\ndatastores:\n  one: { kind: sqlite, path: ${bed.dir}/data/one.db }\njobs:\n${jobs(compression)}`;
    const reload = (): Promise<unknown> => bed.client.send({ method: "POST", path: "/reload", body: {} }, new AbortController().signal);
    const running = await bed.ask("job");
    const frozen = await freezeTask(running);

    await bed.writeConfig(`${text("zstd")}  broken: { datastores: [nothing], destination: local }\n`);
    await assert.rejects(reload(), /nothing/);
    const refused = await bed.status();
    assert.deepEqual(
      refused.jobs.map(({ job }) => job),
      ["job"],
    );
    assert.match(refused.configProblem ?? "", /was not reloaded, the old one stays in force/);
    assert.equal(refused.state, "warning");
    assert.match(refused.summary, /was not reloaded/);

    await bed.writeConfig(text("zstd"));
    await Promise.all([reload(), reload()]);
    assert.equal((await bed.status()).configProblem, null);
    frozen.thaw();
    await bed.end(running);
    await bed.end(await bed.ask("job"));
    const names = bed.stored("job").filter((name) => /\.tar\.[a-z]+$/.test(name));
    assert.deepEqual(new Set(names.map((name) => name.split(".").at(-1))), new Set(["gz", "zst"]));
  });

  test("SIGHUP reloads too, half-written files included; a setting that needs a restart is refused as a whole", async () => {
    await using bed = await createRunBed(jobs("gzip"));
    const daemon = await bed.start();
    await bed.writeConfig("destinations:\n  local: { kind: lo");
    process.kill(daemon.pid, "SIGHUP");
    await daemon.waitForLog(/was not reloaded/);
    await bed.writeConfig(
      `settings: { concurrency: 7 }\ndestinations:\n  local: { kind: local, path: ${bed.dir}/backups }\ndatastores:\n  one: { kind: sqlite, path: ${bed.dir}/data/one.db }\njobs:\n${jobs("zstd")}`,
    );
    process.kill(daemon.pid, "SIGHUP");
    await daemon.waitForLog(/concurrency cannot change while the daemon runs/);
    assert.match((await bed.status()).configProblem ?? "", /concurrency/);
    assert.equal((await bed.end(await bed.ask("job"))).state, "done");
    assert.match(bed.stored("job").join(), /\.tar\.gz/);
  });
});
