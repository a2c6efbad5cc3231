import assert from "node:assert/strict";
import { test } from "node:test";
import { withConfigFiles } from "../../test/support/config-files.ts";
import { assertGolden } from "../../test/support/golden.ts";
import { HoldfastError } from "../base/errors.ts";
import { loadConfig } from "./load-config.ts";
import type { ConfigProblem } from "./problem.ts";

const base = `destinations:
  local: { kind: local, path: /var/backups/holdfast }
datastores:
  crm: { kind: sqlite, path: /srv/crm.db }
  log: { kind: sqlite, path: /srv/log.db }
`;
const job = (lines: string): string =>
  `${base}jobs:\n  nightly:\n    datastores: [crm]\n    destination: local\n${lines.replaceAll(/^/gm, "    ")}\n`;

/** The error of a config with these files; the main one is holdfast.yaml. */
export async function captureError(
  files: Readonly<Record<string, string | Uint8Array>>,
  env: Readonly<Record<string, string>> = {},
  flags: Readonly<Record<string, string>> = {},
) {
  return await withConfigFiles(files, async (directory) => {
    try {
      await loadConfig({ path: `${directory}/holdfast.yaml`, env, flags });
    } catch (thrown) {
      assert.ok(thrown instanceof HoldfastError, String(thrown));
      assert.equal(thrown.code, "config-invalid");
      return { message: thrown.message.replaceAll(directory, "DIR"), problems: thrown.details?.["problems"] as readonly ConfigProblem[] };
    }
    return assert.fail("the config was accepted");
  });
}

const cases: Readonly<
  Record<
    string,
    {
      readonly title: string;
      readonly files: Readonly<Record<string, string | Uint8Array>>;
      readonly env?: Readonly<Record<string, string>>;
      readonly flags?: Readonly<Record<string, string>>;
    }
  >
> = {
  "job-keys": {
    title: "F67 unknown and missing keys of a job",
    files: { "holdfast.yaml": `${base}jobs:\n  nightly:\n    datastores: [crm]\n    corn: "0 3 * * *"\n    keep: 5\n    schedul: daily\n` },
  },
  "job-group": {
    title: "F67 a group without what freezes or thaws, and hooks of a group without one",
    files: {
      "holdfast.yaml": `${base}jobs:
  one: { datastores: [crm, log], destination: local, consistency: group, freeze: [[/bin/freeze]] }
  two: { datastores: [crm, log], destination: local, consistency: group, thaw: [[/bin/thaw]], freeze: [] }
  three: { datastores: [crm], destination: local, consistency: group }
  four: { datastores: [crm], destination: local, freeze: [[/bin/freeze]], maxFreeze: 5s }
  five: { datastores: [crm], destination: local, consistency: groups, maxFreeze: soon }
`,
    },
  },
  "server-references": {
    title: "F67 a server whose address and password are in variables that are not set",
    files: {
      "holdfast.yaml": `${base}  db: { kind: postgresql, host: { env: NO_HOST }, password: { env: NO_PASSWORD } }\n  kv: { kind: redis, password: { env: NO_PASSWORD }, port: seven }\njobs:\n  nightly: { datastores: [db, kv], destination: local }\n`,
    },
  },
  "job-values": {
    title: "F67 wrong values of a job, all at once",
    files: {
      "holdfast.yaml": job(`enabled: maybe
timezone: Europe/Berln
atStart: 1
atStartMinAge: 10
layout: archiv
compression: zstd:40
infoFiles: [backup-info.txt]
shrink: { ratio: 2 }
folder: ../other
nice: 40
maxDuration: 6 hours
retry: { attempts: 0, backof: 1m }
verify: weakly
drill: { corn: "0 3 * * *" }
schedule: "61 3 * * *"
nameZone: UTC`),
    },
  },
  retention: {
    title: "G3 a retention that cannot be meant",
    files: { "holdfast.yaml": job("retention: { keepLats: 5, keepWithin: 30, keepDaily: all, keepYearly: every }") },
  },
  hooks: {
    title: "D5 hooks as they are mistyped",
    files: {
      "holdfast.yaml": job(`restore:
  stop: [pm2, stop, bot]
  start:
    - systemctl start bot
    - { unit: a.service, shell: echo }
    - { command: [./start.sh], cwd: home, timeout: 5 }
    - { command: [sleep, 5] }
    - { unit: "--now" }
    - { unit: [a.service, "-b"] }
    - { dockerCompose: crm, cwd: /srv }
    - { command: ["true"], project: crm }
  check: { htp: "http://localhost" }`),
    },
  },
  checks: {
    title: "D11 health checks as they are mistyped",
    files: {
      "holdfast.yaml": job(
        `restore:\n  check:\n    - { http: "localhost:3000", status: "200 OK" }\n    - { command: ["true"], status: 300 }\n    - http://localhost\n    - { unit: a.service, contains: ok }\n    - { http: "http://localhost", equals: 1, status: 1 }\n    - { sql: SELECT 1 }\n    - { sql: SELECT 1, datastore: crm, equals: 1, atLeast: 1 }\n    - { sql: SELECT 1, datastore: crm, contains: 1, atMost: many }`,
      ),
    },
  },
  names: {
    title: "names in a job that are declared nowhere",
    files: {
      "holdfast.yaml": `${base}jobs:\n  nightly:\n    datastores: [crn, log, log]\n    destination: locl\n    copies: [locl, usb]\n    notify: [ops]\n    layout: archiv\n`,
    },
  },
  queries: {
    title: "A14 sql checks of datastores that are not there or cannot be asked",
    files: {
      "holdfast.yaml": `${base}  caches: { kind: files, root: /srv/caches }\njobs:\n  nightly:\n    datastores: [log]\n    destination: local\n    restore:\n      check:\n        - { sql: SELECT 1, datastore: crn }\n        - { sql: SELECT 1, datastore: caches }\n        - { sql: SELECT 1, datastore: crm }\n`,
    },
  },
  layouts: {
    title: "P1 layout file holds one file",
    files: {
      "holdfast.yaml": `${base}jobs:\n  both: { datastores: [crm, log], destination: local, layout: file }\n  one: { datastores: [crm], destination: local, layout: file, infoFiles: [backup_info.txt] }\n`,
    },
  },
  folders: {
    title: "two jobs never write into one folder",
    files: {
      "holdfast.yaml": `${base}jobs:\n  one: { datastores: [crm], destination: local, folder: same }\n  two: { datastores: [log], destination: local, folder: ./same/ }\n  three: { datastores: [log], destination: local, folder: same }\n`,
    },
  },
  entries: {
    title: "entries that are no datastores, destinations or channels",
    files: {
      "holdfast.yaml": `datastores:\n  "a/b": { kind: sqlite, path: /a.db }\n  relative: { kind: sqlite, path: a.db, pth: x, optional: 3 }\n  nothing:\ndestinations:\n  local: { kind: local, path: /b, requird: no }\nnotify:\n  c: { kind: comand, command: [a] }\n  w: { kind: webhook, on: [failur] }\n  p: { kind: ping, url: { secret: x } }\n`,
    },
  },
  settings: {
    title: "settings of the file, the environment and the command line",
    files: {
      "holdfast.yaml": `settings: { stateDir: var/lib, logLevl: info, drain: 60, concurrency: 0, timezone: Mars/Olympus }\n${base}`,
    },
    env: { HOLDFAST_LOG_LEVEL: "loud", HOLDFAST_RUNTIME_DIR: "run", HOLDFAST_CONCURRENCY: "two" },
    flags: { logFormat: "xml" },
  },
  references: {
    title: "PEERS rule 4: unset variables, wrong kinds of value, secrets that are not there",
    files: {
      "holdfast.yaml": `${base}notify:\n  a: { kind: ping, url: { env: NOT_SET } }\n  b: { kind: ping, url: { file: /nonexistent/secret } }\n  c: { kind: ping, url: { credential: ping } }\n  d: { kind: ping, url: { file: relative } }\njobs:\n  nightly:\n    datastores: [crm]\n    destination: local\n    enabled: { env: ENABLED, default: true }\n    schedule: { every: { env: EVERY, default: 3600000, unit: ms } }\n    retention: { keepLast: { env: KEEP, defualt: 10 } }\n    nice: { env: NICE, unit: years }\n    maxAge: { env: AGE, default: 26h, unit: h }\n    maxDuration: { env: DURATION, default: [1h] }\n`,
    },
    env: { ENABLED: "maybe", EVERY: "hourly", KEEP: "ten" },
  },
  sections: {
    title: "sections and files that are no configuration",
    files: {
      "holdfast.yaml": `${base}job: {}\nchannels: {}\nnotify: [a]\n`,
      "conf.d/10-more.yaml": "settings: { logLevel: info }\ndatastores: { crm: { kind: sqlite, path: /x.db } }\n",
      "conf.d/20-empty.yaml": "# nothing\n",
      "conf.d/30-list.yml": "- a\n",
      "conf.d/.hidden.yaml": "nonsense",
    },
  },
  duplicates: { title: "a key that stands twice", files: { "holdfast.yaml": job("schedule: daily\nschedule: weekly") } },
  tabs: { title: "tabs as indentation", files: { "holdfast.yaml": "jobs:\n\tnightly: {}\n" } },
  syntax: { title: "a bracket that is not closed", files: { "holdfast.yaml": `${base}jobs:\n  nightly: { datastores: [crm\n` } },
  documents: { title: "two documents in one file", files: { "holdfast.yaml": `${base}---\n${base}` } },
  tags: {
    title: "tags and keys that are no text",
    files: { "holdfast.yaml": `${base}jobs:\n  ? [a, b]\n  : {}\n  nightly: !!js/function x\n` },
  },
  empty: { title: "an empty file", files: { "holdfast.yaml": "" } },
  "not-utf8": {
    title: "bytes that are no UTF-8",
    files: { "holdfast.yaml": Buffer.concat([Buffer.from("# caf\u00e9\njobs: {} # caf"), Buffer.from([0xe9, 0x0a])]) },
  },
  nul: { title: "a NUL", files: { "holdfast.yaml": "jobs: {}\n#\u0000\n" } },
  huge: { title: "a file of more than a megabyte", files: { "holdfast.yaml": "#".repeat(1024 * 1024 + 1) } },
  bomb: {
    title: "F67 aliases of aliases",
    files: {
      "holdfast.yaml": `jobs:\n  a: &a0 [x, x, x, x, x, x, x, x, x, x]\n${Array.from({ length: 9 }, (_, at) => `  b${at}: &a${at + 1} [${Array.from({ length: 10 }, () => `*a${at}`).join(", ")}]\n`).join("")}`,
    },
  },
};

for (const [name, { title, files, env, flags }] of Object.entries(cases)) {
  test(title, async () => assertGolden(`config/${name}.txt`, `${(await captureError(files, env, flags)).message}\n`));
}

test("PEERS rule 4: an unknown kind names what there is", async () => {
  const { problems } = await captureError({
    "holdfast.yaml": "datastores:\n  crm: { kind: sqlit, path: /a.db }\ndestinations:\n  here: { kind: s5 }\n",
  });
  assert.deepEqual(
    problems.map(({ path, line, column, found, didYouMean }) => [path, line, column, found, didYouMean]),
    [
      ["datastores.crm.kind", 2, 16, '"sqlit"', "sqlite"],
      ["destinations.here.kind", 4, 17, '"s5"', undefined],
    ],
  );
  assert.ok(problems.every(({ allowed }) => allowed !== undefined && allowed.length > 0));
});

for (const name of ["../{YYYYMMDD}", ".x{YYYYMMDD}", "fixed", "{job", ""]) {
  test(`D2 P1 the name template "${name}" gives no usable name`, async () => {
    const { problems } = await captureError({ "holdfast.yaml": job(`name: ${JSON.stringify(name)}`) });
    assert.deepEqual(
      problems.map(({ path, line, column }) => [path, line, column]),
      [["jobs.nightly.name", 10, 11]],
    );
    assert.match(problems[0]?.message ?? "", new RegExp(`^the name ${RegExp.escape(JSON.stringify(name))} `));
  });
}

test("D2 an unknown placeholder names what there is", async () => {
  const { message } = await captureError({ "holdfast.yaml": job('name: "{YYYY-MM-DD}"') });
  assert.match(message, /:10:11: jobs\.nightly\.name: unknown placeholder "\{YYYY-MM-DD\}" in the name .*\{YYYYMMDD\}/);
});

test("files by `root` and `include` at once are told what excludes what", async () => {
  const { message } = await captureError({
    "holdfast.yaml": `${base}  both: { kind: files, root: /srv/a, include: [/srv/b/*] }\n`,
  });
  assert.match(message, /:6:9: datastores\.both: it has `root` and `include`, which exclude each other: /);
});

test("a text that looks like a secret is not in the message about it", async () => {
  const { message } = await captureError(
    { "holdfast.yaml": `${base}notify:\n  a: { kind: ping, url: { env: URL }, timeot: 1s }\n` },
    { URL: "https://hc/canary-4711" },
  );
  assert.doesNotMatch(message, /canary/);
});

test("what is no file is refused without waiting for it", async () => {
  await withConfigFiles({ "holdfast.yaml/x": "" }, async (directory) => {
    await assert.rejects(loadConfig({ path: `${directory}/holdfast.yaml`, env: {}, flags: {} }), {
      code: "config-invalid",
      message: /this is not a regular file/,
    });
    await assert.rejects(loadConfig({ path: "/dev/tty0-none", env: {}, flags: {} }), { code: "config-missing" });
    await assert.rejects(loadConfig({ path: "/dev/zero", env: {}, flags: {} }), { code: "config-invalid" });
  });
});
