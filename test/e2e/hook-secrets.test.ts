import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createInstallation } from "../support/daemon.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Files below a directory that hold a text. */
function findText(directory: string, text: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path).includes(text));
}

test("F71 F59 G6 passwords in a hook's env reach the hook, after a crash too, and stand in no manifest, journal or other file", async () => {
  await using bed = await createInstallation({
    config: (dir) => {
      mkdirSync(join(dir, "notes"));
      writeFileSync(join(dir, "notes/a.txt"), "old");
      writeFileSync(join(dir, "secret"), "canary-file", { mode: 0o600 });
      const env = `{ ONE: { env: HOOK_SECRET }, TWO: { file: ${dir}/secret }, THREE: "", FOUR: plain }`;
      const sum = `printf '%s,%s,%s,%s' "$ONE" "$TWO" "$THREE" "$FOUR" | md5sum`;
      return `destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  notes: { kind: files, root: ${dir}/notes }
jobs:
  nightly:
    datastores: [notes]
    destination: local
    restore:
      stop: [{ shell: "touch ${dir}/stopping; while ! [ -e ${dir}/go ]; do sleep 0.05; done" }]
      start: [{ shell: ${JSON.stringify(`${sum} > ${dir}/started`)}, env: ${env} }]
      check: { shell: ${JSON.stringify(`${sum} > ${dir}/checked`)}, env: ${env} }
`;
    },
    init: ["local"],
    env: { HOOK_SECRET: "canary-env" },
  });
  const path = (name: string): string => join(bed.dir, name);
  // Of `canary-env,canary-file,,plain`.
  const sum = /^cf3fa8cf[0-9a-f]{24} /;
  const daemon = await bed.start();
  assert.equal((await bed.holdfast(["backup", "nightly"])).status, 0);
  writeFileSync(path("go"), "");
  const done = await bed.holdfast(["restore", "latest", "--job", "nightly", "--yes"]);
  assert.equal(done.status, 0, done.stderr);
  for (const name of ["started", "checked"]) assert.match(readFileSync(path(name), "utf8"), sum);

  for (const name of ["go", "stopping", "started"]) rmSync(path(name));
  const restoring = bed.holdfast(["restore", "latest", "--job", "nightly", "--yes"]).catch(() => undefined);
  await waitUntil("the stop", () => existsSync(path("stopping")));
  assert.deepEqual(
    findText(bed.dir, "canary").filter((each) => each !== path("secret")),
    [],
  );
  await daemon.kill();
  await restoring;
  writeFileSync(path("go"), "");
  await bed.start();
  assert.match(readFileSync(path("started"), "utf8"), sum);
  const shown = await bed.holdfast(["config", "show"]);
  assert.doesNotMatch(shown.stdout + shown.stderr, /canary/);
  assert.deepEqual(
    findText(bed.dir, "canary").filter((each) => each !== path("secret")),
    [],
  );
});
