import assert from "node:assert/strict";
import { chmod, chown, mkdir, readdir, readlink, rename, stat, symlink, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { emptyContents } from "../../base/contents.ts";
import type { RestoreTarget } from "../contract.ts";
import {
  listBeside,
  restore,
  asStored,
  dump,
  execute,
  makePlace,
  noSignal,
  openSqlite,
  query,
  startProgram,
} from "../../../test/support/sqlite.ts";
import { sqliteDriver } from "./sqlite.ts";

const nobody = 65_534;
const original: RestoreTarget = { kind: "original" };

test("D6 G6 absence is restored by putting the file aside, and undone", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "extra.db");
  const absent = await dump({ path, optional: true }, place.context);
  assert.deepEqual(absent.facts.contents, emptyContents);
  execute(path, "create table t (x)");
  const steps = await restore(place, path, absent);
  assert.equal(existsSync(path), false);
  await sqliteDriver.rollBack(steps, noSignal);
  assert.equal(existsSync(path), true);
});

test("D10 a restore to where nothing is gives back owner and mode, and its rollback absence", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "gone.db");
  execute(path, "create table t (x)");
  await chown(path, nobody, nobody);
  await chmod(path, 0o660);
  const dumped = await dump(
    sqliteDriver.deriveOptions([{ name: "gone.db", form: "file", sourcePath: path }]) as { path: string },
    place.context,
  );
  await rename(path, join(place.dir, "elsewhere"));
  const steps = await restore(place, path, dumped);
  const { uid, gid, mode } = await stat(path);
  assert.deepEqual([uid, gid, mode & 0o777], [nobody, nobody, 0o660]);
  await sqliteDriver.rollBack(steps, noSignal);
  assert.deepEqual(await listBeside(place), ["elsewhere"]);
});

test("F29 a symbolic link stays a link; what it points to is replaced", async () => {
  await using place = await makePlace();
  await mkdir(join(place.dir, "real"));
  const real = join(place.dir, "real", "data.db");
  const path = join(place.dir, "link.db");
  execute(real, "create table t (x); insert into t values (1)");
  await symlink("real/data.db", path);
  const dumped = await dump({ path }, place.context);
  execute(real, "delete from t");
  await restore(place, path, dumped);
  assert.equal(await readlink(path), "real/data.db");
  assert.equal(query(real, "select count(*) from t"), 1);
});

test("L7 what is no place for a database is target-unsafe, and nothing has been touched", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "a.db");
  execute(path, "create table t (x)");
  const dumped = await dump({ path }, place.context);
  await mkdir(join(place.dir, "directory"));
  spawnSync("mkfifo", [join(place.dir, "fifo")]);
  const before = await listBeside(place);
  for (const name of ["directory", "fifo", "no/such/dir/a.db"]) {
    await assert.rejects(
      restore(place, join(place.dir, name), dumped),
      { code: "target-unsafe", message: /^Cannot restore "memory": / },
      name,
    );
  }
  assert.deepEqual(await listBeside(place), before);
});

test("L7 a stored copy that is no database is refused before anything is touched", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "a.db");
  execute(path, "create table t (x)");
  await using datastore = await openSqlite({ path }, place.context);
  for (const bytes of [Buffer.alloc(0), Buffer.from("garbage")]) {
    await using session = await datastore.openRestore(original, { absent: false }, noSignal);
    const entries = (async function* () {
      const open = async function* () {
        yield bytes;
      };
      yield { name: "a.db", form: "file" as const, bytes: bytes.length, sourcePath: path, open };
    })();
    await assert.rejects(session.stage(entries, noSignal), { code: "backup-damaged" });
  }
  assert.deepEqual(await listBeside(place), ["a.db"]);
});

test("F32 a database that is no database any more is replaced like any other file, and comes back with a rollback", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "broken.db");
  execute(path, "create table t (x)");
  const dumped = await dump({ path }, place.context);
  await writeFile(path, "scrambled");
  const steps = await restore(place, path, dumped);
  assert.equal(query(path, "pragma integrity_check"), "ok");
  await sqliteDriver.rollBack(steps, noSignal);
  assert.equal((await stat(path)).size, 9);
});

test("G5 D12 a drill's directory gets a file of its own, the original is not touched", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "app.db");
  execute(path, "create table t (x); insert into t values (1)");
  await chown(path, nobody, nobody);
  const dumped = await dump({ path, entry: "sqlite-backup.db" }, place.context);
  await using holder = await startProgram("sqlite-holder.ts", [path, "exclusive"]);
  const drill = join(place.dir, "staging", "drill");
  await mkdir(drill, { mode: 0o700 });
  await restore(place, path, dumped, { kind: "directory", path: drill });
  assert.deepEqual(await readdir(drill), ["sqlite-backup.db"]);
  await holder.stop();
  assert.deepEqual(await listBeside(place), ["app.db"]);
});

test("a session that is closed before its swap leaves nothing", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "a.db");
  execute(path, "create table t (x)");
  const dumped = await dump({ path }, place.context);
  {
    await using datastore = await openSqlite({ path }, place.context);
    await using session = await datastore.openRestore(original, { absent: false }, noSignal);
    await session.stage(asStored(dumped), noSignal);
    assert.equal((await listBeside(place)).length, 2);
  }
  assert.deepEqual(await listBeside(place), ["a.db"]);
});

test("F61 a database file that is itself a mount point is target-unsafe, and as it was", async () => {
  await using place = await makePlace();
  const path = join(place.dir, "a.db");
  execute(path, "create table t (x); insert into t values (1)");
  const dumped = await dump({ path }, place.context);
  const mounted = join(place.dir, "mounted.db");
  await writeFile(mounted, "");
  execute(path, "insert into t values (2)");
  assert.equal(spawnSync("mount", ["--bind", path, mounted]).status, 0);
  try {
    const before = await listBeside(place);
    await assert.rejects(restore(place, mounted, dumped), { code: "target-unsafe", message: /is a mount point/, hint: /unmount/ });
    assert.deepEqual(await listBeside(place), before);
    assert.equal(query(path, "select count(*) from t"), 2);
  } finally {
    spawnSync("umount", [mounted]);
  }
});
