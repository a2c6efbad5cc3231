import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import { createInstallation, type Installation } from "../support/daemon.ts";
import { runOnTerminal } from "../support/run-on-terminal.ts";
import { runShell } from "../support/trees.ts";

const program = fileURLToPath(new URL("../../scripts/holdfast", import.meta.url));
const layouts = ["archive", "directory"] as const;

describe("D10 G6 parts of a backup without a restore", () => {
  let dir: string;
  let installation: Installation;
  const names = new Map<string, string>();

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "extract-"));
    chmodSync(dir, 0o755);
    mkdirSync(join(dir, "srv/uploads"), { recursive: true });
    const memory = new Database(join(dir, "srv/memory.db"));
    memory.exec("create table memory (id integer primary key); insert into memory values (1), (2), (3)");
    memory.close();
    runShell(
      `mkdir -p avatars/small deep; for n in 1 2 3; do echo "avatar $n" > avatars/$n.png; done; echo small > avatars/small/1.png; echo text > avatars/readme.txt
       ln -s ../../../etc/passwd avatars/link.png; ln avatars/1.png deep/hard.png; echo odd > 'avatars/a[1].txt'; echo one > avatars/a1.txt; truncate -s 30M deep/sparse; echo end >> deep/sparse
       head -c 3000000 /dev/urandom > deep/random; mkfifo deep/fifo; mknod deep/null c 1 3; chmod 4755 avatars/readme.txt; echo e > $'deep/\\xe9'`,
      join(dir, "srv/uploads"),
    );
    for (const name of ["one", "two"]) writeFileSync(join(dir, `srv/${name}.bin`), `cache ${name}`);
    installation = await createInstallation({
      dir,
      init: ["local"],
      config: `
destinations:
  local: { kind: local, path: ${dir}/backups }
datastores:
  memory: { kind: sqlite, path: ${dir}/srv/memory.db }
  uploads: { kind: files, root: ${dir}/srv/uploads }
  caches: { kind: files, include: ["${dir}/srv/*.bin"] }
  none: { kind: files, include: ["${dir}/srv/*.none"], optional: true }
jobs:
${layouts.map((layout) => `  ${layout}: { datastores: [memory, uploads, caches, none], destination: local, layout: ${layout}, name: "${layout}_{YYYYMMDD}", compression: zstd }`).join("\n")}
`,
    });
    const daemon = await installation.start();
    for (const job of layouts) names.set(job, (await installation.json<{ details: { name: string } }>(["backup", job])).details.name);
    await daemon.kill();
  });
  after(async () => {
    await installation[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Runs it with standard output as bytes, for whoever may be at its end. */
  function extract(args: readonly string[], tail = "cat"): { readonly stdout: Buffer; readonly stderr: string; readonly status: number } {
    const script = `"$@" | ${tail}; exit "\${PIPESTATUS[0]}"`;
    const env = { ...process.env, ...installation.env };
    const command = [program, "--config", installation.configPath, "extract", ...args];
    const { stdout, stderr, status } = spawnSync("bash", ["-c", script, "bash", ...command], { env, maxBuffer: 1 << 30 });
    return { stdout, stderr: stderr.toString(), status: status ?? 137 };
  }

  function take(args: readonly string[], tail?: string): Buffer {
    const { stdout, stderr, status } = extract(args, tail);
    assert.equal(status, 0, stderr);
    return stdout;
  }

  for (const layout of layouts) {
    test(`members, files and globs come out of a backup of layout ${layout}, to files, directories and standard output`, () => {
      const backup = names.get(layout) ?? "";
      const out = join(dir, `out-${layout}`);
      mkdirSync(out);
      const database = join(out, "memory.db");
      take([backup, "memory", "-o", database]);
      assert.equal(statSync(database).mode & 0o777, 0o600);
      const opened = new Database(database, { readonly: true });
      assert.deepEqual(opened.prepare("select id from memory").pluck().all(), [1, 2, 3]);
      opened.close();
      assert.deepEqual(take([backup, "memory", "-o", "-"]), readFileSync(database));
      const live = (path: string): Buffer => readFileSync(join(dir, "srv/uploads", path));
      for (const path of layout === "archive" ? ["avatars/1.png", "avatars/a[1].txt", "deep/random", "deep/sparse"] : ["deep/random"])
        assert.deepEqual(take([backup, "uploads", path, "-o", "-"]), live(path), path);
      assert.equal(take([backup, "uploads", "deep/hard.png", "-o", "-"]).toString(), "avatar 1\n", "what a hard link leads to");
      assert.equal(
        take([backup, "uploads", "avatars/*.png", "-o", "-"], "tar -tf - | sort").toString(),
        "./\n./avatars/\n./avatars/1.png\n./avatars/2.png\n./avatars/3.png\n./avatars/link.png\n",
      );
      take([backup, "uploads", "avatars/", "-o", `${join(out, "avatars")}/`]);
      assert.equal(
        runShell("find . -mindepth 1 -printf '%P %m %l\\n' | sort", join(out, "avatars")),
        [
          "avatars 755 ",
          ...[
            "1.png 644 ",
            "2.png 644 ",
            "3.png 644 ",
            "a1.txt 644 ",
            "a[1].txt 644 ",
            "link.png 777 ../../../etc/passwd",
            "readme.txt 755 ",
            "small 755 ",
            "small/1.png 644 ",
          ].map((line) => `avatars/${line}`),
          "",
        ].join("\n"),
      );
      if (layout === "directory") return; // the rest reads no other way
      take([backup, "uploads", "-o", join(out, "all.tar")]);
      assert.match(runShell("tar -tf all.tar | wc -l", out), /^18\n$/);
      take([backup, "uploads", "-o", `${join(out, "all")}/`]);
      assert.equal(
        runShell("find . | wc -l; find . -type b -o -type c -o -perm /6000", join(out, "all")),
        "17\n",
        "F57 no device, no set-id bit",
      );
      assert.equal(take([backup, "caches", "one.bin", "-o", "-"]).toString(), "cache one");
      assert.equal(take([backup, "caches", "-o", "-"], "tar -tf -").toString(), "one.bin\ntwo.bin\n");
      take([backup, "caches", "*.bin", "-o", `${join(out, "caches")}/`]);
      assert.deepEqual(readdirSync(join(out, "caches")), ["one.bin", "two.bin"]);
      assert.deepEqual(
        readdirSync(out).filter((name) => name.startsWith(".")),
        [],
      );
    });

    test(`of a damaged backup of layout ${layout} no file is made, and what went out is told by exit status 6`, () => {
      const backup = names.get(layout) ?? "";
      const folder = join(dir, "backups", layout);
      const damaged = join(dir, `damaged-${layout}`);
      runShell(`cp -r '${folder}' '${damaged}'`, dir);
      const object = layout === "archive" ? join(damaged, backup) : join(damaged, backup, "uploads.tar.zst");
      const bytes = readFileSync(object);
      // Random bytes: the last megabytes of the tree's body.
      const at = bytes.length - (layout === "archive" ? 1_500_000 : 1_000_000);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      writeFileSync(object, bytes);
      const whole = join(dir, `whole-${layout}.tar`);
      const offline = ["--offline", join(damaged, backup)];
      const file = extract([...offline, "uploads", "-o", whole]);
      assert.equal(file.status, 6, file.stderr);
      assert.equal(existsSync(whole), false);
      const stream = extract([...offline, "uploads", "-o", "-"], "cat >/dev/null");
      assert.equal(stream.status, 6);
      assert.match(stream.stderr, /^error: /m);
      for (const output of [`${whole}.d/`, "-"]) assert.equal(extract([...offline, "uploads", "avatars/1.png", "-o", output]).status, 6);
      const json = extract(["--json", ...offline, "uploads", "-o", "-"]);
      assert.equal(json.status, 6);
      assert.equal(json.stdout.includes('"error"'), false, "the data's stream is the data's");
      assert.deepEqual(
        readdirSync(dir).filter((name) => name.includes(".holdfast-") || name.startsWith("whole")),
        [],
      );
      assert.equal(
        take([...offline, "memory", "-o", "-"])
          .subarray(0, 15)
          .toString(),
        "SQLite format 3",
        "the others are whole",
      );
    });
  }

  test("contents are listed, for people and machines", async () => {
    const lines = take(["latest", "--job", "archive"]).toString().split("\n");
    assert.deepEqual(
      lines.map((line) => line.split("\t").slice(0, 4)).filter(([member]) => member !== ""),
      [
        ["memory", "sqlite", "memory.db", "file"],
        ["uploads", "files", "uploads.tar", "tree"],
        ["caches", "files", "one.bin", "file"],
        ["caches", "files", "two.bin", "file"],
        ["none", "files", "absent", ""],
      ],
    );
    const json = await installation.json<{ members: { entries: { name: string; bytes: number }[] }[] }>([
      "extract",
      "latest",
      "--job",
      "archive",
    ]);
    assert.deepEqual(json.members[2]?.entries[0]?.bytes, 9);
    const tree = await installation.json<{ files: { path?: string; bytes?: number }[] }>([
      "extract",
      "latest",
      "uploads",
      "--job",
      "archive",
    ]);
    assert.equal(tree.files.find(({ path }) => path === "deep/random")?.bytes, 3_000_000);
    const listed = take(["latest", "uploads", "--job", "archive"]).toString();
    assert.match(listed, /^file\t9\tavatars\/1\.png$/m);
    assert.match(listed, /^symlink\t0\tavatars\/link\.png -> \.\.\/\.\.\/\.\.\/etc\/passwd$/m);
  });

  test("offline, of a lone archive that was renamed, the backup's name may be left out", () => {
    runShell(`mkdir lone; cp backups/archive/${names.get("archive") ?? ""} lone/rescued.tar.zst`, dir);
    const offline = ["--offline", join(dir, "lone/rescued.tar.zst")];
    assert.equal(take([...offline, "caches", "two.bin", "-o", "-"]).toString(), "cache two");
    assert.equal(take([...offline, "rescued.tar.zst", "caches", "two.bin", "-o", "-"]).toString(), "cache two");
    assert.match(take(offline).toString(), /^memory\tsqlite/);
  });

  test("nothing is overwritten unless that is said, and refusals name the way", () => {
    const taken = join(dir, "taken");
    writeFileSync(taken, "mine");
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [["latest", "memory", "-o", taken], 7, /--force/],
      [["latest", "memory", "-o", `${dir}/srv/`], 7, /not empty/],
      [["latest", "memory", "-o", join(dir, "srv"), "--force"], 7, /no file/],
      [["latest", "memory", "-o", join(dir, "nowhere/x")], 7, /Is its directory there/],
      [["latest", "uploads", "-o", join(dir, "x")], 2, /-o .*x\.tar/],
      [["latest", "uploads", "avatars/*", "-o", join(dir, "x")], 2, /no one file/],
      [["latest", "uploads", "missing", "-o", "-"], 4, /has no "missing"/],
      [["latest", "uploads", "../../etc/passwd", "-o", "-"], 2, /no path or glob/],
      [["latest", "memory", "note", "-o", "-"], 4, /--only memory --table note/],
      [["latest", "none", "-o", "-"], 4, /was not there/],
      [["latest", "other", "-o", "-"], 4, /no datastore/],
      [["latest", "-o", "-"], 2, /needs a member/],
      [["latest", "uploads", "avatars"], 2, /Where should it go/],
      [["nothing", "memory", "-o", "-"], 4, /nothing/],
    ];
    for (const [args, status, told] of cases) {
      const result = extract([...args, "--job", "archive"]);
      assert.equal(result.status, status, `${args.join(" ")}: ${result.stderr}`);
      assert.match(result.stderr, told);
      assert.equal(result.stdout.length, 0);
    }
    assert.equal(readFileSync(taken, "utf8"), "mine");
    take(["latest", "caches", "one.bin", "-o", taken, "--force", "--job", "archive"]);
    assert.equal(readFileSync(taken, "utf8"), "cache one");
  });

  test("a reader that has seen enough ends it quietly", () => {
    const { stdout, stderr, status } = extract(["latest", "uploads", "deep/random", "-o", "-", "--job", "archive"], "head -c 10");
    assert.equal(status, 1, "what was not written to its end was not compared");
    assert.equal(stdout.length, 10);
    assert.equal(stderr, "");
  });

  test("nothing binary goes to a terminal", async () => {
    const shown = await runOnTerminal(
      ["--config", installation.configPath, "extract", "latest", "memory", "-o", "-", "--job", "archive"],
      [],
      installation.env,
    );
    assert.equal(shown.status, 2);
    assert.match(shown.shown, /not written to a terminal/);
    assert.equal(shown.shown.includes("SQLite format"), false);
  });

  test("a user without rights on the daemon's directories reads what that user may read", () => {
    runShell("chmod -R a+rX backups; chmod 700 run", dir);
    const command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, "--config", installation.configPath];
    const { status, stdout, stderr } = spawnSync(
      command[0] ?? "",
      [...command.slice(1), "extract", "latest", "caches", "one.bin", "-o", "-", "--job", "archive"],
      {
        env: { ...process.env, ...installation.env },
      },
    );
    assert.equal(status, 0, stderr.toString());
    assert.equal(stdout.toString(), "cache one");
    assert.match(stderr.toString(), /without the backup's lock/);
  });
});
