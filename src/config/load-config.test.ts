import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { inspect } from "node:util";
import { test } from "node:test";
import { withConfigFiles } from "../../test/support/config-files.ts";
import { Secret } from "../base/secret.ts";
import { createConfigCopy } from "./config-copy.ts";
import type { Config } from "./config.ts";
import { describeEffective } from "./describe-effective.ts";
import { loadConfig } from "./load-config.ts";

const base = `destinations:
  local: { kind: local, path: /var/backups/holdfast }
datastores:
  crm: { kind: sqlite, path: /srv/crm.db }
`;
const withJob = (lines: string): string =>
  `${base}jobs:\n  nightly:\n    datastores: [crm]\n    destination: local\n${lines.replaceAll(/^/gm, "    ")}\n`;

async function load(
  files: Readonly<Record<string, string>> | string,
  env: Readonly<Record<string, string>> = {},
  flags: Readonly<Record<string, string | number>> = {},
): Promise<Config> {
  const all = typeof files === "string" ? { "holdfast.yaml": files } : files;
  return await withConfigFiles(all, async (directory) => await loadConfig({ path: `${directory}/holdfast.yaml`, env, flags }));
}

test("D9 a job with nothing but what it must have gets the defaults, and no retention", async () => {
  const { jobs, settings } = await load(withJob("catchUp: true"));
  const { timezone, ...job } = jobs.get("nightly") ?? assert.fail();
  assert.equal(timezone, Intl.DateTimeFormat().resolvedOptions().timeZone);
  assert.equal(settings.timezone, timezone);
  assert.deepEqual(job, {
    name: "nightly",
    enabled: true,
    datastores: ["crm"],
    onMissing: "fail",
    consistency: "each",
    freeze: [],
    thaw: [],
    fixedCopies: [],
    atStart: false,
    atStartMinAgeMs: 3_600_000,
    catchUp: true,
    destination: "local",
    folder: "nightly",
    copies: [],
    layout: "directory",
    nameTemplate: "{job}_{YYYYMMDD}_{HHmmss}",
    nameZone: "job",
    compression: { method: "zstd" },
    infoFiles: [],
    shrink: { ratio: 0.5, minHistory: 3 },
    restore: { stop: [], start: [], check: [], undoKeepMs: 1_209_600_000, undoKeepLast: 3, askToStart: false },
    notify: [],
    maxDurationMs: 21_600_000,
    retry: { attempts: 2, backoffMs: 60_000 },
  });
});

test("W4 schedules by name, cron text, interval and mapping", async () => {
  const { jobs } = await load(
    withJob(`schedule: { cron: "0 3 * * *", timezone: europe/berlin, jitter: 10m }\nverify: weekly\ndrill: every 36h`),
  );
  const job = jobs.get("nightly") ?? assert.fail();
  assert.deepEqual([job.schedule?.kind, job.verify?.kind, job.drill?.kind], ["cron", "cron", "interval"]);
  assert.ok(job.schedule?.kind === "cron" && job.schedule.timezone === "Europe/Berlin" && job.schedule.jitterMs === 600_000);
});

test("L3 the limit of a backup at start follows the interval, unless it is given", async () => {
  const half = await load(withJob("schedule: every 30m\natStart: true"));
  assert.equal(half.jobs.get("nightly")?.atStartMinAgeMs, 900_000);
  const given = await load(withJob("schedule: every 30m\natStart: true\natStartMinAge: 0s"));
  assert.equal(given.jobs.get("nightly")?.atStartMinAgeMs, 0);
});

const revealText = (value: string | Secret): string => (value instanceof Secret ? value.reveal() : `shown: ${value}`);

test("D5 D11 P9 F71 hooks and checks in all their forms", async () => {
  const { jobs } = await load(
    withJob(`restore:
  stop:
    - unit: duck.service
    - [pm2, stop, bot]
    - { shell: "a | b", runAs: bot, cwd: /srv/, env: { env: x, NODE_ENV: production }, timeout: 5s }
  start: { unit: duck.service }
  check:
    - http: http://localhost:3000/x
    - { http: "https://localhost", status: 204, contains: up, timeout: 1s, retryFor: 0s }
    - unit: duck.service
    - ["true"]`),
  );
  const { stop, start, check } = jobs.get("nightly")?.restore ?? assert.fail();
  assert.deepEqual(stop, [
    { command: ["systemctl", "stop", "duck.service"], timeoutMs: 120_000 },
    { command: ["pm2", "stop", "bot"], timeoutMs: 120_000 },
    {
      command: ["/bin/sh", "-c", "a | b"],
      timeoutMs: 5_000,
      runAs: "bot",
      cwd: "/srv",
      env: { env: new Secret("x"), NODE_ENV: new Secret("production") },
    },
  ]);
  assert.deepEqual(Object.values(stop[2]?.env ?? {}).map(revealText), ["x", "production"]);
  assert.doesNotMatch(JSON.stringify(stop), /production/);
  assert.deepEqual(start, [{ command: ["systemctl", "start", "duck.service"], timeoutMs: 120_000 }]);
  assert.deepEqual(check, [
    { kind: "http", http: "http://localhost:3000/x", status: 200, timeoutMs: 10_000, retryForMs: 60_000 },
    { kind: "http", http: "https://localhost", status: 204, timeoutMs: 1_000, retryForMs: 0, contains: "up" },
    { kind: "command", command: ["systemctl", "is-active", "--quiet", "duck.service"], timeoutMs: 10_000, retryForMs: 60_000 },
    { kind: "command", command: ["true"], timeoutMs: 10_000, retryForMs: 60_000 },
  ]);
});

test("P9 A14 D11 several units or compose services in their order, questions to datastores, exit statuses and output", async () => {
  const { jobs } = await load(
    withJob(`restore:
  stop: [{ unit: [web.service, worker.service] }, { dockerCompose: [web, worker], directory: /srv/crm, project: crm, runAs: crm }]
  start: { dockerCompose: web, file: /srv/crm/compose.yaml, timeout: 5m }
  check:
    - { unit: [web.service, worker.service] }
    - { dockerCompose: web, file: /srv/crm/compose.yaml }
    - { command: [health], status: 3, contains: fine }
    - { sql: 'SELECT COUNT(*) FROM "Users"', datastore: crm, atLeast: 1, retryFor: 5s }
    - { sql: SELECT name FROM t, datastore: crm, equals: x }`),
  );
  const { stop, start, check } = jobs.get("nightly")?.restore ?? assert.fail();
  const compose = { timeoutMs: 120_000, runAs: "crm", cwd: "/srv/crm" };
  assert.deepEqual(stop, [
    { command: ["systemctl", "stop", "web.service"], timeoutMs: 120_000 },
    { command: ["systemctl", "stop", "worker.service"], timeoutMs: 120_000 },
    { command: ["docker", "compose", "-p", "crm", "stop", "web"], ...compose },
    { command: ["docker", "compose", "-p", "crm", "stop", "worker"], ...compose },
  ]);
  assert.deepEqual(start, [{ command: ["docker", "compose", "-f", "/srv/crm/compose.yaml", "start", "web"], timeoutMs: 300_000 }]);
  const attempt = { kind: "command", timeoutMs: 10_000, retryForMs: 60_000 };
  const query = { kind: "sql", datastore: "crm", timeoutMs: 60_000 };
  assert.deepEqual(check, [
    { ...attempt, command: ["systemctl", "is-active", "--quiet", "web.service"] },
    { ...attempt, command: ["systemctl", "is-active", "--quiet", "worker.service"] },
    {
      ...attempt,
      command: ["docker", "compose", "-f", "/srv/crm/compose.yaml", "ps", "--status", "running", "--services", "web"],
      contains: "web",
    },
    { ...attempt, command: ["health"], status: 3, contains: "fine" },
    { ...query, sql: 'SELECT COUNT(*) FROM "Users"', atLeast: 1, retryForMs: 5_000 },
    { ...query, sql: "SELECT name FROM t", equals: "x", retryForMs: 60_000 },
  ]);
});

test("settings: defaults < file < environment < flags, each with its origin", async () => {
  const files = `settings: { stateDir: /a, logLevel: warn, drain: 5m, concurrency: 3 }\n${base}`;
  const config = await load(
    files,
    { HOLDFAST_STATE_DIR: "/b/", HOLDFAST_LOG_LEVEL: "error", HOLDFAST_CONCURRENCY: "4", HOLDFAST_HOSTNAME: "" },
    { stateDir: "/c" },
  );
  const { stateDir, stagingDir, runtimeDir, socketPath, logLevel, logFormat, drainMs, concurrency, auditKeepMs, socketGroup } =
    config.settings;
  assert.deepEqual([stateDir, stagingDir, runtimeDir, socketPath], ["/c", "/c/staging", "/run/holdfast", "/run/holdfast/admin.sock"]);
  assert.deepEqual(
    [logLevel, logFormat, drainMs, concurrency, auditKeepMs, socketGroup],
    ["error", "auto", 300_000, 4, 34_560_000_000, "holdfast"],
  );
  const origin = new Map(describeEffective(config).map((row) => [row.key, `${row.value} from ${row.origin}`]));
  assert.equal(origin.get("settings.stateDir"), "/c from flag --state-dir");
  assert.equal(origin.get("settings.logLevel"), "error from env HOLDFAST_LOG_LEVEL");
  assert.equal(origin.get("settings.drain"), "5m from holdfast.yaml:1");
  assert.equal(origin.get("settings.auditKeep"), "400d from default");
  assert.equal(origin.get("datastores.crm.path"), "/srv/crm.db from holdfast.yaml:5");
});

test("L2 values from the environment: their defaults, their types, their units, their origins", async () => {
  const text = withJob(`enabled: { env: AUTO_BACKUP_ENABLED, default: true }
schedule: { every: { env: BACKUP_INTERVAL, default: 3600000, unit: ms } }
retention: { keepLast: { env: MAX_BACKUPS, default: 10 } }
nice: { env: NICE }`);
  const plain = (await load(text, { NICE: "5" })).jobs.get("nightly");
  assert.deepEqual(
    [plain?.enabled, plain?.schedule, plain?.retention, plain?.nice],
    [true, { kind: "interval", everyMs: 3_600_000, jitterMs: 0 }, { keepLast: 10 }, 5],
  );
  const config = await load(text, { AUTO_BACKUP_ENABLED: "false", BACKUP_INTERVAL: "60000", MAX_BACKUPS: "3", NICE: "5" });
  const set = config.jobs.get("nightly");
  assert.deepEqual(
    [set?.enabled, set?.schedule, set?.retention],
    [false, { kind: "interval", everyMs: 60_000, jitterMs: 0 }, { keepLast: 3 }],
  );
  const rows = describeEffective(config).map(({ key, value, origin }) => `${key} = ${value} (${origin})`);
  assert.ok(rows.includes("jobs.nightly.enabled = false (env AUTO_BACKUP_ENABLED)"), rows.join("\n"));
  assert.ok(rows.includes("jobs.nightly.schedule = every 1m (holdfast.yaml:10, env BACKUP_INTERVAL)"), rows.join("\n"));
  assert.ok(rows.includes("jobs.nightly.retention.keepLast = 3 (env MAX_BACKUPS)"), rows.join("\n"));
});

test("F71 secrets from files, credentials and the environment never show themselves", async () => {
  const files = { key: "canary-file\n", "creds/ping": "https://hc.example/canary-credential" };
  await withConfigFiles(files, async (directory) => {
    const text = `${withJob("notify: [a, b, c]")}notify:\n  a: { kind: webhook, url: { file: ${directory}/key }, headers: { file: { env: TOKEN } } }\n  b: { kind: ping, url: { credential: ping } }\n  c: { kind: ping, url: "http://x/canary-plain" }\n`;
    const path = `${directory}/holdfast.yaml`;
    await writeFile(path, text);
    const env = { CREDENTIALS_DIRECTORY: `${directory}/creds`, TOKEN: "canary-variable" };
    const config = await loadConfig({ path, env, flags: {} });
    const [a, b, c] = ["a", "b", "c"].map((name) => config.channels.get(name) ?? assert.fail());
    assert.ok(a?.kind === "webhook" && b?.kind === "ping" && c?.kind === "ping");
    assert.deepEqual(
      [a.url, a.headers["file"], b.url, c.url].map((each) => each instanceof Secret && each.reveal()),
      ["canary-file", "canary-variable", "https://hc.example/canary-credential", "http://x/canary-plain"],
    );
    const shown = [
      inspect(config, { depth: 20 }),
      JSON.stringify([...config.channels.values()]),
      JSON.stringify(createConfigCopy(config, "nightly")),
      JSON.stringify(describeEffective(config)),
    ];
    assert.doesNotMatch(shown.join("\n"), /canary/);
    const other = await loadConfig({ path, env: { ...env, TOKEN: "rotated" }, flags: {} });
    assert.equal(other.fingerprint, config.fingerprint);
  });
});

test("conf.d is merged by section and by name, in order, hidden files and other kinds aside", async () => {
  const config = await load({
    "holdfast.yaml": `settings: { logLevel: debug }\n${base}`,
    "conf.d/20-b.yaml": "jobs:\n  b: { datastores: [extra], destination: local }\n",
    "conf.d/10-a.yml": "datastores:\n  extra: { kind: sqlite, path: /srv/extra.db }\n",
    "conf.d/.20-b.yaml.swp": "nonsense: [",
    "conf.d/README": "nonsense: [",
  });
  assert.deepEqual([[...config.datastores.keys()], [...config.jobs.keys()]], [["crm", "extra"], ["b"]]);
  assert.match(config.origins.get("jobs.b.datastores") ?? "", /^conf\.d\/20-b\.yaml:2$/);
});

test("the fingerprint is of what is meant: comments, order and spelling do not change it, values do", async () => {
  const one = await load(withJob("schedule: every 60m\nnice: 5"));
  const same = await load(`# comment\n${withJob('nice:   5\nschedule: "every 1h"   # same')}`);
  const other = await load(withJob("schedule: every 61m\nnice: 5"));
  assert.match(one.fingerprint, /^[0-9a-f]{64}$/);
  assert.equal(same.fingerprint, one.fingerprint);
  assert.notEqual(other.fingerprint, one.fingerprint);
});

test("the copy in a manifest has the job with what it uses, and survives JSON", async () => {
  const config = await load(withJob("copies: []"));
  const copy = createConfigCopy(config, "nightly") ?? assert.fail();
  assert.deepEqual(JSON.parse(JSON.stringify(copy)), copy);
  assert.deepEqual(Object.keys(copy), ["datastores", "declared", "destinations", "fingerprint", "job"]);
  assert.equal(createConfigCopy(config, "other"), undefined);
});

test("no config file: what to do about it", async () => {
  await assert.rejects(loadConfig({ path: "/nonexistent/holdfast.yaml", env: {}, flags: {} }), {
    code: "config-missing",
    hint: /holdfast init/,
  });
});

test("a config that may not be read says so", async () => {
  await withConfigFiles({ "holdfast.yaml": base }, async (directory) => {
    await chmod(directory, 0o755);
    await chmod(`${directory}/holdfast.yaml`, 0);
    // Root reads everything, so another user looks.
    process.seteuid?.(65_534);
    try {
      await assert.rejects(loadConfig({ path: `${directory}/holdfast.yaml`, env: {}, flags: {} }), {
        code: "config-invalid",
        message: /EACCES/,
      });
    } finally {
      process.seteuid?.(0);
    }
  });
});
