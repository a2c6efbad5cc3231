import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Run } from "../../src/catalog/contract.ts";
import type { Report } from "../../src/operations/read-report.ts";
import type { Status } from "../../src/operations/read-status.ts";
import { makeBot, type Bot } from "../support/bot.ts";
import { backdateBackup, cloneBackup } from "../support/clone-backup.ts";
import { createInstallation, type Installation } from "../support/daemon.ts";
import { makeSite, substitute } from "../support/example-config.ts";
import { createFakeTime } from "../support/fake-time.ts";
import { waitForRuns } from "../support/wait-for-runs.ts";

const dayMs = 86_400_000;
const resources = new AsyncDisposableStack();
let dir: string;
let bot: Bot;

interface Place {
  readonly backups: string;
  readonly config: string;
  readonly path: string;
}

function makePlace(name: string, changes: Readonly<Record<string, string>> = {}): Place {
  const path = join(dir, name);
  mkdirSync(path);
  let config = substitute(bot.config, `path: ${bot.backups}`, `path: ${path}/backups`);
  for (const [found, put] of Object.entries(changes)) config = substitute(config, found, put);
  return { path, config, backups: join(path, "backups") };
}

const listDatabases = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".db"))
    .toSorted();

async function backUp(installation: Installation): Promise<string> {
  return (await installation.json<{ details: { name: string } }>(["backup", "bot"])).details.name;
}

before(async () => {
  const site = resources.use(await makeSite());
  dir = site.dir;
  bot = await makeBot(dir, { messages: 200 });
});

after(() => resources.disposeAsync());

/** The next first of a month that is a Sunday, 02:00 UTC: daily, weekly and monthly fall together. */
function findCommonSlot(): number {
  const month = new Date();
  for (;;) {
    month.setUTCMonth(month.getUTCMonth() + 1, 1);
    month.setUTCHours(2, 0, 0, 0);
    if (month.getUTCDay() === 0) return month.getTime();
  }
}

test("P11 W4 G5 daily, weekly and monthly by name: at 02:00 on a Sunday the 1st a backup, all verified, and the newest drilled", async () => {
  const { path, config } = makePlace("p11");
  const slotMs = findCommonSlot();
  const time = createFakeTime(path, slotMs - 200_000);
  const env = { ...bot.env, ...time.env };
  await using installation = await createInstallation({ dir: path, config, init: ["backups"], env });
  await using daemon = await installation.start();
  const names = [await backUp(installation), await backUp(installation)];
  const [before] = (await installation.json<Status>(["status"])).jobs;
  assert.deepEqual(
    before?.next.map(({ purpose, at }) => [purpose, at]),
    ["backup", "verify", "drill"].map((purpose) => [purpose, new Date(slotMs).toISOString()]),
  );
  assert.equal(before.lastDrill, null);
  time.moveTo(slotMs - 1000);
  await waitForRuns(daemon, { kind: "verify|drill", job: "bot", count: 3 });
  await waitForRuns(daemon, { kind: "backup", job: "bot", count: 3 });
  const runs = (await installation.json<readonly Run[]>(["runs"])).filter(({ trigger }) => trigger.includes("schedule"));
  const verified = runs.filter(({ kind }) => kind === "verify").map(({ summary }) => summary.split(" ")[0]);
  for (const name of names) assert.ok(verified.includes(name), `${name} among ${verified.join(", ")}`);
  assert.equal(runs.filter(({ kind }) => kind === "backup").length, 1);
  assert.equal(runs.filter(({ kind }) => kind === "drill").length, 1);
  const [job] = (await installation.json<Status>(["status"])).jobs;
  assert.ok(names.includes(job?.lastDrill?.name ?? ""), "proven restorable stands in the status");
  assert.deepEqual(
    job?.next.map(({ purpose, at }) => [
      purpose,
      new Date(at).getUTCHours(),
      purpose === "verify" ? new Date(at).getUTCDay() : new Date(at).getUTCDate(),
    ]),
    [
      ["backup", 2, 2],
      ["verify", 2, 0],
      ["drill", 2, 1],
    ],
  );
});

/** The names that seven days, four weeks from Sunday, twelve months and all years keep: the first of each. */
function chooseKept(times: ReadonlyMap<string, number>): readonly string[] {
  const ordered = [...times].toSorted(([, one], [, other]) => one - other);
  const firsts = (bucketOf: (at: Date) => string): readonly string[] => {
    const buckets = new Map<string, string>();
    for (const [name, atMs] of ordered) if (!buckets.has(bucketOf(new Date(atMs)))) buckets.set(bucketOf(new Date(atMs)), name);
    return [...buckets.values()];
  };
  const day = (at: Date): string => at.toISOString().slice(0, 10);
  const kept = [
    ...firsts(day).slice(-7),
    ...firsts((at) => day(new Date(at.getTime() - at.getUTCDay() * dayMs))).slice(-4),
    ...firsts((at) => at.toISOString().slice(0, 7)).slice(-12),
    ...firsts((at) => String(at.getUTCFullYear())),
    ordered.at(-1)?.[0] ?? "",
  ];
  return [...new Set(kept)].toSorted();
}

test("A9 A11 G3 seven days, four weeks from Sunday, twelve months, years for ever; and the report of what there is", async () => {
  const { path, config, backups } = makePlace("a9", {
    "retention: { keepLast: 5 }": "retention: { keepDaily: 7, keepWeekly: 4, keepMonthly: 12, keepYearly: all }",
  });
  const env = bot.env;
  await using installation = await createInstallation({ dir: path, config, init: ["backups"], env });
  const first = await installation.start();
  const model = await backUp(installation);
  await first.stop();
  const nowMs = Date.now();
  const times = new Map([[model, nowMs]]);
  await backdateBackup(join(backups, model), { createdAtMs: nowMs, sequence: 1_000 });
  // Two a day for forty days, then one every nine days for three years.
  const ages = [
    ...Array.from({ length: 80 }, (_, count) => (count + 1.1) / 2),
    ...Array.from({ length: 120 }, (_, count) => 41 + count * 9),
  ];
  for (const [index, days] of ages.toSorted((one, other) => other - one).entries()) {
    const createdAtMs = Math.floor(nowMs - days * dayMs);
    const name = `sqlite-backup-${new Date(createdAtMs).toISOString().slice(0, 19).replaceAll(/[T:]/g, "-")}.db`;
    await cloneBackup(backups, model, name, { createdAtMs, sequence: index + 1 });
    times.set(name, createdAtMs);
  }
  await using second = await installation.start();
  const report = await installation.json<Report>(["report"]);
  const [job] = report.jobs;
  assert.equal(job?.backups, times.size);
  assert.deepEqual(
    job.newest.map(({ name }) => name),
    [...times]
      .toSorted(([, one], [, other]) => other - one)
      .slice(0, 5)
      .map(([name]) => name),
  );
  assert.ok(job.newest.every(({ storedBytes }) => storedBytes > 0));
  assert.equal(job.oldest?.name, [...times].toSorted(([, one], [, other]) => one - other)[0]?.[0]);
  assert.equal(job.noneInLastDay, false);
  assert.equal(job.olderThan30Days.backups, [...times.values()].filter((atMs) => atMs < nowMs - 30 * dayMs).length);
  assert.ok(job.storedBytes > 0 && (report.destinations[0]?.freeBytes ?? 0) > 0);
  const text = await installation.holdfast(["report"]);
  for (const { name } of job.newest) assert.ok(text.stdout.includes(name), text.stdout);

  times.set(await backUp(installation), Date.now());
  await waitForRuns(second, { kind: "remove", job: "bot" });
  assert.deepEqual(listDatabases(backups), chooseKept(times));
});

test("A11 none in the last 24 hours is told", async () => {
  const { path, config, backups } = makePlace("a11");
  await using installation = await createInstallation({ dir: path, config, init: ["backups"], env: bot.env });
  const time = createFakeTime(path, Date.now() + 2 * dayMs);
  const first = await installation.start();
  await backUp(installation);
  await first.stop();
  // Paused, so that the missed slots are not made up for at once.
  const paused = substitute(config, "schedule: daily", "schedule: monthly\n    catchUp: false");
  await using later = await createInstallation({ dir: path, config: paused, env: { ...bot.env, ...time.env } });
  await using daemon = await later.start();
  assert.equal((await later.json<Report>(["report"])).jobs[0]?.noneInLastDay, true, daemon.log());
  assert.match((await later.holdfast(["report"])).stdout, /in the last 24 hours +none/);
  assert.equal(listDatabases(backups).length, 1);
});
