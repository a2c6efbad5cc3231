import assert from "node:assert/strict";
import { test } from "node:test";
import type { Manifest } from "../../archive/manifest.ts";
import { chooseTargets, type OfflineTarget } from "./choose-targets.ts";

const signal = new AbortController().signal;

/** The target of a backup of `cache`, by the copy of its config alone. */
function chooseByCopy(kind: string, sourcePath: string, options: unknown): OfflineTarget {
  const entries = [{ name: "entry", form: "file", sourcePath }];
  const members = [{ datastore: "cache", kind, status: "ok", entries }];
  const manifest = { name: "x", members, config: { datastores: { cache: { kind, options } } } } as unknown as Manifest;
  const [target] = chooseTargets(manifest, undefined, undefined);
  assert.ok(target !== undefined);
  return target;
}

test("D10 F71 a copy of the config whose secrets are masked does not stand for the config: what the backup tells of the place does", () => {
  const cases: readonly (readonly [string, string, unknown, object])[] = [
    ["redis", "redis+unix:///run/r.sock", { url: "***" }, { socket: "/run/r.sock" }],
    ["redis", "redis://db:6380", { host: "db", port: 6380, password: "***" }, { host: "db", port: 6380 }],
    ["redis", "redis://db:6380", { host: "db", port: 6380, restoreConnection: { password: "***" } }, { host: "db", port: 6380 }],
    ["postgresql", "postgresql://app@db:5433/crm", { url: "***" }, { url: "postgresql://app@db:5433/crm" }],
  ];
  for (const [kind, sourcePath, copy, expected] of cases) {
    const { options } = chooseByCopy(kind, sourcePath, copy);
    assert.partialDeepStrictEqual(options, expected);
  }
  assert.deepEqual(chooseByCopy("redis", "redis://db:1", { host: "db", port: 2 }).options, { host: "db", port: 2 }, "nothing is masked");
});

test("D10 F71 one in a container is refused with the remedy: the address alone is that of another server here", async () => {
  const cases: readonly (readonly [string, unknown, RegExp])[] = [
    ["redis", { password: "***", via: { docker: "cache" } }, /by way of a container or a command \(via\).* has no secrets/],
    ["redis", { future: 1, via: { docker: "cache" } }, /cannot be read/],
    ["postgresql", { url: "***", via: { dockerCompose: "db", directory: "/srv/app" } }, /has no secrets/],
  ];
  for (const [kind, copy, message] of cases) {
    const address = kind === "redis" ? "redis://localhost:6379" : "postgresql://localhost:5432/crm";
    const { configured } = chooseByCopy(kind, address, copy);
    const refusal = { code: "config-missing", message, hint: /a config that has this datastore.*--to DIRECTORY/ };
    await assert.rejects(configured.identify(signal), refusal);
    await assert.rejects(configured.open({ name: "cache", stagingDir: "/nowhere", progress: () => undefined }), refusal);
  }
  const { configured, options } = chooseByCopy("redis", "redis://localhost:6379", { via: { docker: "cache" } });
  assert.deepEqual([options, configured.kind], [{ via: { docker: "cache" } }, "redis"], "nothing is masked");
});
