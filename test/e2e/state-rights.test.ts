import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { createInstallation, type Installation } from "../support/daemon.ts";

const nobody = 65534;
const program = resolve(import.meta.dirname, "../../scripts/holdfast");
const config = (dir: string): string => `destinations: { local: { kind: local, path: ${dir}/backups } }\n`;

/** An installation of root, with a state, that others may look into. */
async function createRootInstallation(): Promise<Installation> {
  const place = await createInstallation({ config, init: ["local"] });
  chmodSync(place.dir, 0o755);
  chmodSync(place.configPath, 0o644);
  await (await place.start()).stop();
  return place;
}

function runAsNobody(
  { configPath, env }: Installation,
  ...args: readonly string[]
): { readonly status: number | null; readonly text: string } {
  const call = ["--reuid", String(nobody), "--regid", String(nobody), "--clear-groups", program, "--config", configPath, ...args];
  const { status, stdout, stderr } = spawnSync("setpriv", call, { env, encoding: "utf8", timeout: 60_000 });
  return { status, text: `${stdout}${stderr}` };
}

test("state-unwritable: a daemon without rights to its state, or with something else in its place, says so and is no bug", async () => {
  await using place = await createRootInstallation();
  const denied = runAsNobody(place, "daemon");
  assert.equal(denied.status, 1, denied.text);
  assert.match(denied.text, /^error: Cannot use \S+\/state: EACCES: .*daemon\.lock'\nhint: Run it as root, .* uid 65534\..*\n$/m);
  assert.doesNotMatch(denied.text, /Bug|\n +at /);
  writeFileSync(join(place.dir, "file"), "");
  const blocked = await place.holdfast(["daemon"], { env: { HOLDFAST_STATE_DIR: join(place.dir, "file/state") } });
  assert.equal(blocked.status, 1, blocked.stderr);
  assert.match(blocked.stderr, /Cannot use \S+\/file\/state: ENOTDIR/);
});

test("state-unwritable: a state whose files belong to another account", async () => {
  await using place = await createRootInstallation();
  const chown = spawnSync("chown", [
    `${nobody}:${nobody}`,
    join(place.dir, "state"),
    join(place.dir, "state/daemon.lock"),
    join(place.dir, "run"),
  ]);
  assert.equal(chown.status, 0);
  const { status, text } = runAsNobody(place, "daemon");
  assert.equal(status, 1, text);
  assert.match(text, /^error: Cannot use the queue \S+\/queue\.db: .*\nhint: Run it as root/m);
});

test("check and doctor without rights to the state say what to do, and do not take it for damaged", async () => {
  await using place = await createRootInstallation();
  for (const verb of ["check", "doctor"]) {
    const { status, text } = runAsNobody(place, verb);
    assert.equal(status, 1, text);
    assert.match(text, /^FAIL +sources and destinations: Cannot use \S+\/staging: EACCES.*\(Run it as root/m);
    if (verb === "doctor") assert.match(text, /^FAIL +state directory \S+: Cannot use \S+\/state: EACCES.*\(Run it as root/m);
    assert.doesNotMatch(text, /rebuild/);
  }
});

test("state-unwritable: an offline restore without rights to the state says so", async () => {
  await using place = await createInstallation({
    config: (dir) => `${config(dir)}datastores: { notes: { kind: files, root: ${dir}/notes } }
jobs: { nightly: { datastores: [notes], destination: local } }
`,
    init: ["local"],
  });
  chmodSync(place.dir, 0o755);
  chmodSync(place.configPath, 0o644);
  const notes = join(place.dir, "notes");
  mkdirSync(notes);
  writeFileSync(join(notes, "a.txt"), "one");
  {
    await using daemon = await place.start();
    assert.equal((await place.holdfast(["backup", "nightly"])).status, 0, daemon.log());
  }
  assert.equal(spawnSync("chown", ["-R", `${nobody}:${nobody}`, join(place.dir, "backups"), notes]).status, 0);
  const copy = join(place.dir, "backups/nightly");
  const { status, text } = runAsNobody(place, "restore", "--offline", copy, "latest", "--yes", "--json");
  assert.equal(status, 1, text);
  assert.match(text, /"code": ?"state-unwritable"[^]*A restore needs \S+\/state and [^]*Run it as root/);
});
