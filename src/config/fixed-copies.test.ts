import assert from "node:assert/strict";
import { test } from "node:test";
import { withConfigFiles } from "../../test/support/config-files.ts";
import { describeCause } from "../base/errors.ts";
import type { FixedCopy } from "./config.ts";
import { loadConfig } from "./load-config.ts";

const head = `destinations: { local: { kind: local, path: /var/backups/holdfast } }
datastores: { crm: { kind: sqlite, path: /srv/crm.db }, log: { kind: sqlite, path: /srv/log.db }, site: { kind: files, root: /srv/site, exclude: [cache] }, bins: { kind: files, include: ['/srv/*.bin'] } }
jobs:
`;
const job = (name: string, copies: string): string =>
  `  ${name}: { datastores: [crm], destination: local, folder: ${name}, fixedCopies: [${copies}] }\n`;

async function load(text: string): Promise<readonly FixedCopy[] | string> {
  return await withConfigFiles({ "c.yaml": head + text }, async (directory) => {
    try {
      return (await loadConfig({ path: `${directory}/c.yaml`, env: {}, flags: {} })).jobs.get("one")?.fixedCopies ?? [];
    } catch (error) {
      return describeCause(error);
    }
  });
}

test("A1 copies under fixed names: defaults, owner and mode", async () => {
  assert.deepEqual(
    await load(
      job(
        "one",
        `{ datastore: crm, path: /srv/app/./backup.db }, { datastore: crm, path: /srv/site/cache/b.db }, { datastore: crm, path: /a, owner: "app:app", mode: "0644" }`,
      ),
    ),
    [
      { datastore: "crm", path: "/srv/app/backup.db", mode: 0o640 },
      { datastore: "crm", path: "/srv/site/cache/b.db", mode: 0o640 },
      { datastore: "crm", path: "/a", owner: "app:app", mode: 0o644 },
    ],
  );
});

test("A1 F67 a copy that cannot be is refused with its place", async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [job("one", "{ datastore: log, path: /a }"), /the job does not back up a datastore "log"/],
    [job("one", "{ datastore: crm, path: a }"), /must be the absolute path of a file/],
    [job("one", "{ datastore: crm, path: /a/ }"), /must be the absolute path of a file/],
    [job("one", "{ datastore: crm, path: /srv/log.db }"), /\/srv\/log\.db is the datastore "log" itself, which the copy would replace/],
    [
      job("one", "{ datastore: crm, path: /var/backups/holdfast/x.db }"),
      /holdfast\/x\.db lies in the destination "local" .*: the copy could take the place of a backup/,
    ],
    [
      job("one", "{ datastore: crm, path: /srv/site/x.db }"),
      /lies in the datastore "site" \(.*what is backed up; move it, or exclude it there/,
    ],
    [job("one", "{ datastore: crm, path: /srv/x.bin }"), /lies in the datastore "bins" \(\/srv\/\*\.bin\)/],
    [job("one", `{ datastore: crm, path: /a, mode: "4755" }`), /must be an octal mode in quotes/],
    [job("one", "{ datastore: crm, path: /a, owner: app }"), /must be "user:group"/],
    [job("one", "{ datastore: crm, path: /a }") + job("two", "{ datastore: crm, path: /b/../a }"), /the job "one" writes \/a already/],
  ];
  for (const [text, message] of cases) assert.match(JSON.stringify(await load(text)).replaceAll('\\"', '"'), message);
});
