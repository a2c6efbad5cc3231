import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { withConfigFiles } from "../../test/support/config-files.ts";
import { loadConfig } from "../config/load-config.ts";
import { assertApart, assertEmpty, findUnmounted } from "./assert-target-directory.ts";

function makePlace(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "target-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test("F57 F61 a directory to restore into is empty or absent, and no link, file, pipe or device", async (t) => {
  const dir = makePlace(t);
  mkdirSync(join(dir, "empty"));
  mkdirSync(join(dir, "full"));
  writeFileSync(join(dir, "full/one"), "");
  writeFileSync(join(dir, "file"), "");
  symlinkSync("empty", join(dir, "link"));
  symlinkSync("nowhere", join(dir, "dangling"));
  assert.equal(spawnSync("mkfifo", [join(dir, "pipe")]).status, 0);
  assert.equal(await assertEmpty(join(dir, "empty")), "empty");
  assert.equal(await assertEmpty(join(dir, "none/below")), "absent");
  const refused: readonly (readonly [string, RegExp])[] = [
    [join(dir, "link"), /is a symbolic link/],
    [join(dir, "dangling"), /is a symbolic link/],
    [join(dir, "full"), /is not empty: one/],
    [join(dir, "file"), /is a file, not a directory/],
    [join(dir, "file/below"), /file is not a directory/],
    [join(dir, "pipe"), /is no directory/],
    ["/dev/null", /is a device, not a directory/],
  ];
  for (const [path, message] of refused) await assert.rejects(assertEmpty(path), { code: "target-unsafe", message, hint: /./ }, path);
});

test("F61 a directory to restore into lies in no destination, datastore or state directory, links or not", async (t) => {
  const dir = makePlace(t);
  for (const name of ["disk", "state", "tree/cache", "free"]) mkdirSync(join(dir, name), { recursive: true });
  symlinkSync(join(dir, "disk"), join(dir, "linked"));
  const text = `
settings: { stateDir: ${dir}/state, runtimeDir: ${dir}/run, stagingDir: ${dir}/stage }
destinations: { disk: { kind: local, path: ${dir}/disk } }
datastores:
  tree: { kind: files, root: ${dir}/tree, exclude: [cache] }
  db: { kind: sqlite, path: ${dir}/db/a.db }
jobs: { nightly: { datastores: [tree, db], destination: disk } }
`;
  await withConfigFiles({ "holdfast.yaml": text }, async (configDir) => {
    const config = await loadConfig({ path: join(configDir, "holdfast.yaml"), env: {}, flags: {} });
    const apart = (path: string): Promise<void> => assertApart(path, config, { settings: config.settings, backupDir: join(dir, "backup") });
    for (const name of ["free", "free/below", "none", "tree/cache/out", "db"]) await apart(join(dir, name));
    const refused: readonly (readonly [string, RegExp])[] = [
      ["disk/out", /destination "disk"/],
      ["linked/out", /destination "disk"/],
      ["tree/out", /datastore "tree"/],
      ["state/out", /state directory/],
      ["stage/out", /staging directory/],
      ["run/out", /runtime directory/],
      ["backup/out", /place of the backup/],
    ];
    for (const [name, message] of refused) await assert.rejects(apart(join(dir, name)), { code: "target-unsafe", message }, name);
  });
});

test("F61 a place below a disk that is not mounted is known by fstab", () => {
  const fstab = "# /mnt/not x\nUUID=1 / ext4 defaults 0 1\nUUID=2 /mnt/usb\\040disk ext4 noauto 0 0\nUUID=3 none swap sw 0 0\n";
  const mounts = "/dev/sda1 / ext4 rw 0 0\n";
  assert.equal(findUnmounted("/mnt/usb disk/out", fstab, mounts), "/mnt/usb disk");
  assert.equal(findUnmounted("/mnt/usb disk", fstab, mounts), "/mnt/usb disk");
  assert.equal(findUnmounted("/mnt/usb disks/out", fstab, mounts), undefined);
  assert.equal(findUnmounted("/mnt/not/out", fstab, mounts), undefined);
  assert.equal(findUnmounted("/mnt/usb disk/out", fstab, `${mounts}/dev/sdb1 /mnt/usb\\040disk ext4 rw 0 0\n`), undefined);
});
