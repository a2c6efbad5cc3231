import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { stringify } from "yaml";
import { createEntry, writeBackup } from "../../../test/support/write-backup.ts";
import { createConfigCopy } from "../../config/config-copy.ts";
import type { Config } from "../../config/config.ts";
import { loadConfig } from "../../config/load-config.ts";
import { collectConfig } from "./collect-config.ts";
import { openView } from "./open-view.ts";

const signal = new AbortController().signal;
const secrets = ["pw-literal-1", "pw-from-env-2", "pw-from-file-3", "pw-hook-4", "pw-default-5", "pw-header-6", "x7"];

const written = (dir: string): string => `
settings: { timezone: Europe/Berlin, hostname: oldhost }
destinations:
  local: { kind: local, path: ${dir}/vault }
  nas: { kind: local, path: ${dir}/nas, required: false, fileMode: "0640" }
datastores:
  crm: { kind: sqlite, path: ${dir}/crm.db, optional: true }
  orders: { kind: postgresql, host: db, user: app, password: pw-literal-1, database: orders, excludeTableData: [sessions] }
  cache: { kind: redis, host: cache, password: { env: CACHE_PASSWORD } }
  other: { kind: redis, host: cache, port: 7000, password: { file: ${dir}/other-password } }
  more: { kind: redis, host: cache, port: 7001, password: { env: MORE_PASSWORD, default: pw-default-5 } }
  tiny: { kind: redis, host: cache, port: 7002, password: x7 }
notify:
  chat: { kind: webhook, url: { file: ${dir}/other-password }, headers: { X-Key: pw-header-6 } }
jobs:
  nightly:
    datastores: [crm, orders, cache]
    destination: local
    copies: [nas]
    schedule: { cron: "0 3 * * *", jitter: 10m }
    name: "n_{YYYYMMDD}_{HHmmss}"
    compression: zstd:9
    retention: { keepLast: 5, keepWithin: 30d, keepYearly: all }
    maxDuration: { env: MAX_DURATION, default: 7200000, unit: ms }
    restore:
      stop: [{ unit: crm.service }]
      start: [{ shell: "systemctl start crm", env: { TOKEN: pw-hook-4, MODE: { env: CRM_MODE, default: pw-default-5 } } }]
      check: [{ http: "http://localhost:1/health", contains: ok }]
    notify: [chat]
  weekly: { datastores: [crm, other, more, tiny], destination: local, schedule: weekly, timezone: UTC, layout: directory }
`;

const env = { CACHE_PASSWORD: "pw-from-env-2" };

async function withWorld(
  use: (dir: string, config: Config, put: (job: string, copy: unknown, at: number) => Promise<void>) => Promise<void>,
) {
  const dir = mkdtempSync(join(tmpdir(), "declared-"));
  try {
    writeFileSync(join(dir, "other-password"), "pw-from-file-3\n");
    writeFileSync(join(dir, "holdfast.yaml"), written(dir));
    const config = await loadConfig({ path: join(dir, "holdfast.yaml"), env, flags: {} });
    const put = async (job: string, copy: unknown, at: number): Promise<void> => {
      const { store } = await writeBackup({
        layout: "directory",
        compression: { method: "none" },
        stem: `${job}-${at}`,
        members: [{ datastore: "crm", entries: [createEntry("crm.db", Buffer.from("x"))] }],
        draft: {
          job,
          config: copy,
          createdAt: new Date(Date.UTC(2024, 0, at)).toISOString(),
          id: `01hkz3b4c5d6e7f8g${job.slice(0, 1)}${String(at).padStart(2, "0")}`,
          host: "oldhost",
        },
      });
      for (const [key, bytes] of store.objects) {
        mkdirSync(dirname(join(dir, "vault", key)), { recursive: true });
        writeFileSync(join(dir, "vault", key), bytes);
      }
    };
    await use(dir, config, put);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function collect(dir: string, job?: string) {
  const scope = { path: join(dir, "vault"), host: "newhost", scratchDir: dir, ...(job === undefined ? {} : { job }) };
  return await collectConfig(await openView(scope, signal), signal);
}

/** What a job means: without the fingerprint, which is of the whole config, and what stands in the file. */
function meaningOf(config: Config, job: string): unknown {
  const { fingerprint: _fingerprint, declared: _declared, ...parts } = createConfigCopy(config, job) ?? {};
  return parts;
}

/** Without the name of the temporary directory, in which a short secret may stand by chance. */
const readManifest = (dir: string, name: string): string =>
  readFileSync(join(dir, "vault/jobs", name, "manifest.json"), "utf8").replaceAll(dir, "");

test("D10 A14 the config that backups carry loads on a new machine and means the same, once the secrets are put back", async () => {
  await withWorld(async (dir, config, put) => {
    for (const job of ["nightly", "weekly"]) await put(job, createConfigCopy(config, job), 3);
    for (const manifest of ["nightly-3", "weekly-3"])
      for (const secret of secrets) assert.doesNotMatch(readManifest(dir, manifest), new RegExp(secret));
    const collected = await collect(dir);
    const text = stringify(collected.config);
    for (const secret of secrets) assert.doesNotMatch(JSON.stringify(collected), new RegExp(`"${secret}|${secret}"`));
    assert.deepEqual([collected.conflicts, collected.passedOver], [[], []]);
    const needed = new Map(collected.needed.map((each) => [each.key, each]));
    assert.partialDeepStrictEqual(needed.get("datastores.orders.password"), { kind: "file", was: "config" });
    assert.partialDeepStrictEqual(needed.get("datastores.cache.password"), { kind: "env", at: "CACHE_PASSWORD", was: "reference" });
    assert.partialDeepStrictEqual(needed.get("datastores.other.password"), { kind: "file", was: "reference" });
    assert.deepEqual(needed.get("datastores.more.password"), {
      key: "datastores.more.password",
      kind: "env",
      at: "MORE_PASSWORD",
      was: "config",
    });
    assert.partialDeepStrictEqual(needed.get("jobs.nightly.maxDuration"), { kind: "env", default: 7_200_000 });

    // The new machine: the secrets are put where the list says, and nothing else is known.
    const places = join(dir, "secrets");
    mkdirSync(places);
    chmodSync(places, 0o700);
    const values: Readonly<Record<string, string>> = {
      "datastores.orders.password": "pw-literal-1",
      "datastores.tiny.password": "x7",
      "notify.chat.headers.X-Key": "pw-header-6",
      "jobs.nightly.restore.start.0.env.TOKEN": "pw-hook-4",
    };
    const stood = collected.needed.filter(({ kind, was }) => kind === "file" && was === "config");
    assert.deepEqual(stood.map(({ key }) => key).toSorted(), Object.keys(values).toSorted());
    for (const { key, at } of stood) writeFileSync(at.replace("/etc/holdfast/secrets", places), values[key] ?? "");
    writeFileSync(join(dir, "new.yaml"), text.replaceAll("/etc/holdfast/secrets", places));
    const variables = { ...env, MORE_PASSWORD: "pw-default-5", CRM_MODE: "pw-default-5" };
    const again = await loadConfig({ path: join(dir, "new.yaml"), env: variables, flags: {} });
    for (const job of ["nightly", "weekly"]) assert.deepEqual(meaningOf(again, job), meaningOf(config, job));
    const revealed = ({ datastores }: Config): ReadonlySet<unknown> =>
      new Set([...datastores.values()].map(({ options }) => (options as { password?: { reveal(): string } }).password?.reveal()));
    assert.deepEqual(revealed(again), revealed(config));
    assert.deepEqual(again.channels.get("chat"), config.channels.get("chat"));
  });
});

test("D10 the newest of each job is taken, conflicts and what was passed over are told", async () => {
  await withWorld(async (dir, config, put) => {
    const copy = createConfigCopy(config, "weekly") as { declared: { datastores: Record<string, object> } };
    const changed = structuredClone(copy);
    changed.declared.datastores["crm"] = { kind: "sqlite", path: "/elsewhere.db" };
    await put("nightly", createConfigCopy(config, "nightly"), 2);
    await put("nightly", null, 5);
    await put("weekly", changed, 3);
    await put("weekly", copy, 1);
    mkdirSync(join(dir, "vault/jobs/broken"));
    writeFileSync(join(dir, "vault/jobs/broken/manifest.json"), "{");
    const collected = await collect(dir);
    assert.deepEqual(
      collected.sources.map(({ backup, form }) => [backup, form]),
      [
        ["weekly-3", "complete"],
        ["nightly-2", "complete"],
      ],
    );
    assert.deepEqual(collected.config["datastores"]?.["crm"], { kind: "sqlite", path: "/elsewhere.db" });
    assert.match(collected.conflicts.join(), /^datastores\.crm: nightly-2 has it otherwise than weekly-3, which is newer and was taken$/);
    assert.deepEqual(collected.passedOver.map(({ name }) => name).toSorted(), ["jobs/broken/manifest.json", "nightly-5"]);
    assert.deepEqual(Object.keys((await collect(dir, "nightly")).config["jobs"] ?? {}), ["nightly"]);
    await assert.rejects(collect(dir, "none"), { code: "backup-not-found", message: /carries a config/ });
  });
});

test("D10 a backup of an older version gives what was in force, and it loads", async () => {
  await withWorld(async (dir, config, put) => {
    for (const job of ["nightly", "weekly"]) {
      const { declared: _declared, ...old } = createConfigCopy(config, job) ?? {};
      await put(job, old, 1);
    }
    const collected = await collect(dir);
    assert.deepEqual(new Set(collected.sources.map(({ form }) => form)), new Set(["effective"]));
    const places = join(dir, "secrets");
    mkdirSync(places);
    for (const { at } of collected.needed) writeFileSync(at.replace("/etc/holdfast/secrets", places), "again");
    writeFileSync(join(dir, "new.yaml"), stringify(collected.config).replaceAll("/etc/holdfast/secrets", places));
    const again = await loadConfig({ path: join(dir, "new.yaml"), env: {}, flags: {} });
    const expected = meaningOf(config, "nightly") as { job: Record<string, unknown> };
    assert.deepEqual(meaningOf(again, "nightly"), { ...expected, job: { ...expected.job, notify: [] } });
    assert.deepEqual(meaningOf(again, "weekly"), meaningOf(config, "weekly"));
  });
});
