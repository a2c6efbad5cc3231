import assert from "node:assert/strict";
import { test } from "node:test";
import { withConfigFiles } from "../../test/support/config-files.ts";
import { createConfigCopy } from "./config-copy.ts";
import { describeEffective } from "./describe-effective.ts";
import { loadConfig } from "./load-config.ts";

const main = `destinations:
  local: { kind: local, path: /var/backups/holdfast }
datastores:
  crm: { kind: sqlite, path: /srv/known-canary1/crm.db }
  orders: { kind: postgresql, url: "postgresql://u:pa/ss-canary2@db/x" }
  stock: { kind: postgresql, host: db, user: u, password: { env: STOCK, default: canary3 }, database: x }
  cache: { kind: redis, url: "redis://:canary4@h:1/0" }
`;
const more = `notify:
  list: { kind: command, command: [/bin/x, --auth, known-canary1, "--header=known-canary1"], on: [failure] }
  hook: { kind: webhook, url: &url "https://hooks/canary5", headers: { Authorization: "known-canary1" } } # canary6
  twice: { kind: command, command: [/bin/x, *url] }
jobs:
  nightly:
    datastores: [crm, orders, stock, cache]
    destination: local
    notify: [list, hook, twice]
    consistency: group
    freeze:
      - [/bin/freeze, "--password=canary20", "X: known-canary1", kept]
      - { shell: "PGPASSWORD=canary21 freeze --token canary22", env: { A: canary23 } }
    thaw: { command: [/bin/thaw, { env: CC, default: "https://u:canary24@h/" }], env: { B: { env: BB, default: canary25 } } }
    restore:
      stop:
        - [/bin/stop, "--password=canary7", "--url=https://u:can@ry@h/", "--api-key", canary8, "X: known-canary1", kept]
        - { shell: "PGPASSWORD=canary9 psql 'postgres://a:canary10@h/db' --token canary11", env: { A: canary12, B: { env: BB, default: canary13 } } }
        - { command: [a, { env: CC, default: "https://u:canary14@h/" }, { env: DD }, "Authorization: Bearer canary15"] }
        - { unit: [crm.service] }
      check:
        - { http: "https://u:canary16@h/?token=canary17" }
        - { http: { env: EE } }
`;

test("F71 what backups carry of the config has no secret, wherever in the files it stands", async () => {
  await withConfigFiles({ "holdfast.yaml": main, "conf.d/more.yaml": more }, async (directory) => {
    const env = { DD: "canary18", EE: "https://h/canary19" };
    const config = await loadConfig({ path: `${directory}/holdfast.yaml`, env, flags: {} });
    const copy = createConfigCopy(config, "nightly") ?? assert.fail();
    // A path is not changed for a secret that it happens to contain.
    const text = JSON.stringify(copy).replaceAll("/srv/known-canary1/crm.db", "");
    assert.deepEqual(text.match(/.{0,30}can[a@]ry.{0,5}|.{0,30}ry@h.{0,5}/g), null);
    const shown = JSON.stringify(describeEffective(config))
      .replaceAll("known-canary1", "")
      .replaceAll(/canary1[89]/g, "");
    assert.deepEqual(shown.match(/.{0,30}can[a@]ry.{0,5}|.{0,30}ry@h.{0,5}/g), null);
    const { restore } = copy["job"] as { readonly restore: { readonly stop: readonly { readonly command: readonly string[] }[] } };
    const words = restore.stop.map(({ command }) => command);
    assert.deepEqual(words[0], ["/bin/stop", "--password=***", "--url=https://***@h/", "--api-key", "***", "X: ***", "kept"]);
    assert.deepEqual(words[3], ["systemctl", "stop", "crm.service"]);
    const { freeze } = copy["job"] as { readonly freeze: readonly { readonly command: readonly string[] }[] };
    assert.deepEqual(freeze[0]?.command, ["/bin/freeze", "--password=***", "X: ***", "kept"]);
  });
});

test("F71 a job's names and units stay what they are where a password is in them", async () => {
  const text = `destinations:
  local: { kind: local, path: /var/backups/holdfast }
datastores:
  postgres-one: { kind: postgresql, host: db, user: u, password: postgres-one, database: x }
jobs:
  postgres-one-daily:
    datastores: [postgres-one]
    destination: local
    restore: { stop: [{ unit: postgres-one.service }, [/bin/stop, "at=postgres-one"]] }
`;
  await withConfigFiles({ "holdfast.yaml": text }, async (directory) => {
    const config = await loadConfig({ path: `${directory}/holdfast.yaml`, env: {}, flags: {} });
    const copy = createConfigCopy(config, "postgres-one-daily") ?? assert.fail();
    assert.partialDeepStrictEqual(copy, {
      job: {
        name: "postgres-one-daily",
        datastores: ["postgres-one"],
        restore: { stop: [{ command: ["systemctl", "stop", "postgres-one.service"] }, { command: ["/bin/stop", "at=***"] }] },
      },
      declared: {
        jobs: {
          "postgres-one-daily": {
            datastores: ["postgres-one"],
            restore: { stop: [{ unit: "postgres-one.service" }, ["/bin/stop", "at=***"]] },
          },
        },
      },
    });
  });
});
