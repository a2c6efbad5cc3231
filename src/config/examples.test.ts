import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { parse } from "yaml";
import { withConfigFiles } from "../../test/support/config-files.ts";
import { HoldfastError } from "../base/errors.ts";
import type { JobConfig } from "./config.ts";
import { describeEffective } from "./describe-effective.ts";
import { createJsonSchema } from "./json-schema.ts";
import { loadConfig } from "./load-config.ts";

const configDir = join(import.meta.dirname, "../../config");

async function loadJob(name: string, env: Readonly<Record<string, string>> = {}): Promise<JobConfig> {
  const { jobs } = await loadConfig({ path: join(configDir, "examples", `${name}.yaml`), env, flags: {} });
  return [...jobs.values()][0] ?? assert.fail();
}

test("D1 D2 D3 D5 D8 D9 D11 D13 the example of the Duck's server", async () => {
  const job = await loadJob("duck");
  assert.equal(job.datastores.length, 4);
  assert.deepEqual(
    [job.layout, job.compression, job.nameTemplate, job.folder],
    ["archive", { method: "gzip" }, "duck_backup_{YYYYMMDD}_{HHmmss}", "."],
  );
  assert.deepEqual([job.infoFiles, job.retention], [["backup_info.txt"], undefined]);
  assert.ok(job.schedule?.kind === "cron" && job.schedule.cron === "0 3 * * *" && job.catchUp);
  const units = ["chatgpt-duck.service", "duck-control.service"];
  assert.deepEqual(
    job.restore.stop.map(({ command }) => command),
    units.map((unit) => ["systemctl", "stop", unit]),
  );
  assert.deepEqual(
    job.restore.start.map(({ command }) => command),
    units.map((unit) => ["systemctl", "start", unit]),
  );
  assert.ok(job.restore.askToStart);
  const [check] = job.restore.check;
  assert.ok(check?.kind === "http" && check.http.endsWith("/api/memory/stats"));
});

test("P1 P3 P7 P9 P11 the example of the Parmelae bot", async () => {
  const job = await loadJob("parmelae");
  assert.deepEqual(
    [job.layout, job.compression, job.nameTemplate],
    ["file", { method: "none" }, "sqlite-backup-{YYYY}-{MM}-{DD}-{HH}-{mm}-{ss}"],
  );
  assert.deepEqual(job.retention, { keepLast: 5 });
  assert.deepEqual(job.restore.stop, [{ command: ["pm2", "stop", "bot"], runAs: "bot", timeoutMs: 120_000 }]);
  assert.ok(
    job.schedule !== undefined &&
      job.verify?.kind === "cron" &&
      job.verify.cron === "0 2 * * 0" &&
      job.drill?.kind === "cron" &&
      job.drill.cron === "0 2 1 * *",
  );
});

test("L1 L2 L3 L6 the example of Luna", async () => {
  const job = await loadJob("luna");
  assert.deepEqual(
    [job.layout, job.compression, job.nameTemplate, job.nameZone],
    ["directory", { method: "none" }, "backup-{YYYY}-{MM}-{DD}T{HH}-{mm}-{ss}", "utc"],
  );
  assert.deepEqual(
    [job.enabled, job.schedule, job.retention, job.atStart, job.atStartMinAgeMs],
    [true, { kind: "interval", everyMs: 3_600_000, jitterMs: 0 }, { keepLast: 10 }, true, 1_800_000],
  );
  const set = await loadJob("luna", { AUTO_BACKUP_ENABLED: "false", BACKUP_INTERVAL: "600000", MAX_BACKUPS: "2" });
  assert.deepEqual(
    [set.enabled, set.schedule, set.retention],
    [false, { kind: "interval", everyMs: 600_000, jitterMs: 0 }, { keepLast: 2 }],
  );
});

test("A1 A2 A3 A4 A9 A12 the example of AI Dungeon Prompts", async () => {
  const env = { POSTGRES_PASSWORD: "geheim" };
  const { jobs, destinations } = await loadConfig({ path: join(configDir, "examples/aidungeon.yaml"), env, flags: {} });
  assert.deepEqual([...jobs.keys()], ["aidungeon", "portable", "plain-backup", "sql", "schema", "users"]);
  assert.equal(destinations.get("nas")?.required, false);
  const [job = assert.fail(), portable = assert.fail(), ...others] = jobs.values();
  assert.deepEqual(
    [job.layout, job.compression, job.retention],
    ["file", { method: "zstd" }, { keepDaily: 7, keepWeekly: 4, keepMonthly: 12, keepYearly: "all" }],
  );
  assert.deepEqual([portable.atStart, portable.fixedCopies.map(({ owner, mode }) => [owner, mode])], [true, [["app:app", 0o640]]]);
  assert.deepEqual(
    others.map(({ nameTemplate, compression, schedule }) => [nameTemplate, compression.method, schedule]),
    [
      ["aidungeon_{YYYYMMDD}_{HHmmss}", "none", undefined],
      ["aidungeon_{YYYYMMDD}_{HHmmss}", "gzip", undefined],
      ["schema_{YYYYMMDD}", "none", undefined],
      ["users_{YYYYMMDD}", "none", undefined],
    ],
  );
  for (const each of jobs.values()) assert.deepEqual(each.notify, ["mail"]);
});

test("W1 W2 W4 W5 W6 W9 W10 the example of WhisperEngine", async () => {
  const job = await loadJob("whisperengine");
  assert.deepEqual(
    [job.datastores, job.layout, job.compression, job.nameTemplate, job.folder, job.infoFiles],
    [
      ["postgres", "redis", "chromadb", "neo4j"],
      "directory",
      { method: "none" },
      "whisperengine_backup_{YYYYMMDD}_{HHmmss}",
      ".",
      ["backup_info.txt"],
    ],
  );
  assert.ok(job.schedule?.kind === "cron" && job.schedule.cron === "0 2 * * *");
  assert.deepEqual([job.onMissing, job.retention], ["skip", { keepWithinMs: 30 * 86_400_000 }]);
  assert.deepEqual(
    [...job.restore.stop, ...job.restore.start].map(({ command }) => command.slice(-3).join(" ")),
    ["/srv/whisperengine stop bot", "up -d bot"],
  );
  const [check] = job.restore.check;
  assert.ok(check?.kind === "command" && check.command[0] === "/srv/whisperengine/health_check.sh");
});

test("the commented example is right, and says the defaults where it says so", async () => {
  const text = (await readFile(join(configDir, "holdfast.example.yaml"), "utf8")).replace(
    "/etc/holdfast/chat-url",
    "/proc/sys/kernel/ostype",
  );
  await withConfigFiles({ "holdfast.yaml": text, "creds/ping-url": "http://x", "none.yaml": "jobs:\n" }, async (directory) => {
    const env = { CREDENTIALS_DIRECTORY: `${directory}/creds` };
    const config = await loadConfig({ path: `${directory}/holdfast.yaml`, env, flags: {} });
    const plain = await loadConfig({ path: `${directory}/none.yaml`, env, flags: {} });
    assert.deepEqual(config.settings, plain.settings);
    const written = new Set(
      describeEffective(config)
        .filter(({ origin }) => origin.startsWith("holdfast.yaml"))
        .map(({ key }) => key),
    );
    const known = Object.keys(config.jobs.get("nightly") ?? {}).filter((key) => key !== "name");
    const missing = known.filter(
      (key) => ![...written].some((each) => each.startsWith(`jobs.nightly.${key === "nameTemplate" ? "name" : key.replace(/Ms$/, "")}`)),
    );
    assert.deepEqual(missing, [], "every key of a job stands in the example");
  });
});

test("F21 a destination inside a source is refused, unless it is excluded", async () => {
  const check = async (options: string, path = "/srv/app/backups"): Promise<string> =>
    await withConfigFiles(
      {
        "c.yaml": `destinations: { d: { kind: local, path: ${path} } }\ndatastores: { s: { kind: files, ${options} } }\njobs: { j: { datastores: [s], destination: d } }\n`,
      },
      async (directory) => {
        const refused = await loadConfig({ path: `${directory}/c.yaml`, env: {}, flags: {} }).catch((thrown: unknown) => thrown);
        return refused instanceof HoldfastError ? refused.message : "accepted";
      },
    );
  const inside = /c\.yaml:3:\d+: jobs\.j\.destination: the destination "d" \(\S+\) lies inside the datastore "s"/;
  for (const options of [
    'include: ["/srv/app"]',
    'include: ["/srv/app/*"]',
    'include: ["/srv/**"]',
    'include: [{ path: "/srv/app" }]',
    "root: /srv/app",
    "root: /",
    "root: /srv/app/backups/",
  ]) {
    assert.match(await check(options), inside, options);
  }
  assert.match(await check("root: /srv/app", "/srv/app"), inside);
  for (const options of [
    'include: ["/srv/app/*.bin"]',
    'include: ["/srv/app"], exclude: ["/srv/app/backups"]',
    "root: /srv/application",
    "root: /srv/app, exclude: [backups]",
  ]) {
    assert.equal(await check(options), "accepted", options);
  }
});

test("P1 layout file is refused for files that may be several", async () => {
  for (const [include, accepted] of [
    ["[/srv/a]", true],
    ['["/srv/*"]', false],
    ["[/srv/a, /srv/b]", false],
  ] as const) {
    const text = `destinations: { d: { kind: local, path: /b } }\ndatastores: { s: { kind: files, include: ${include} } }\njobs: { j: { datastores: [s], destination: d, layout: file } }\n`;
    await withConfigFiles({ "c.yaml": text }, async (directory) => {
      const loading = loadConfig({ path: `${directory}/c.yaml`, env: {}, flags: {} });
      if (accepted) await loading;
      else await assert.rejects(loading, /layout "file" needs a datastore that is one file/);
    });
  }
});

test("config/holdfast.schema.json is the schema that the loader uses (scripts/generate-schema.ts writes it)", async () => {
  assert.deepEqual(JSON.parse(await readFile(join(configDir, "holdfast.schema.json"), "utf8")), createJsonSchema());
});

test("the JSON schema accepts the examples and refuses what the loader refuses", async () => {
  const validate = new Ajv2020({ allowUnionTypes: true, strictRequired: false }).addFormat("uri", true).compile(createJsonSchema());
  for (const name of [
    "holdfast.example.yaml",
    "examples/duck.yaml",
    "examples/parmelae.yaml",
    "examples/luna.yaml",
    "examples/aidungeon.yaml",
    "examples/whisperengine.yaml",
  ]) {
    assert.ok(validate(parse(await readFile(join(configDir, name), "utf8"))), `${name}: ${JSON.stringify(validate.errors)}`);
  }
  const job = { datastores: ["a"], destination: "d" };
  const wrong = [
    { jobs: { j: { ...job, corn: "daily" } } },
    { jobs: { j: { ...job, layout: "zip" } } },
    { jobs: { j: { ...job, retention: { keepLats: 1 } } } },
    { jobs: { j: { destination: "d" } } },
    { datastores: { a: { kind: "sqlit", path: "/a" } } },
    { datastores: { a: { kind: "sqlite", pth: "/a" } } },
    { notify: { a: { kind: "ping" } } },
    { settings: { logLevel: 5 } },
    { job: {} },
  ];
  for (const each of wrong) assert.equal(validate(each), false, JSON.stringify(each));
});
