import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { test, type TestContext } from "node:test";

const root = resolve(import.meta.dirname, "../..");

/** A checkout's scripts without what setup makes. */
function copyScripts(context: TestContext): string {
  const tree = mkdtempSync(join(tmpdir(), "setup-"));
  context.after(() => rmSync(tree, { recursive: true, force: true }));
  cpSync(join(root, "scripts"), join(tree, "scripts"), { recursive: true });
  return tree;
}

test("setup says what is there, asks nothing and changes nothing the second time, from any directory", () => {
  const run = () => spawnSync(join(root, "scripts/setup"), [], { cwd: "/", encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  run();
  const { status, stdout, stderr } = run();
  assert.equal(stderr, "");
  assert.equal(status, 0);
  assert.match(
    stdout,
    /^setup: Debian packages are there: tar zstd .*\nsetup: Node 26\.10\.0 is there: \.runtime\nsetup: npm packages are there, .*\n$/,
  );
});

test("setup without root names the one command that root has to run", (context) => {
  const tree = copyScripts(context);
  const programs = join(tree, "programs");
  mkdirSync(programs);
  for (const name of [
    "apt-get",
    "bash",
    "cat",
    "cut",
    "dirname",
    "id",
    "mktemp",
    "paste",
    "readlink",
    "rm",
    "tar",
    "uname",
    "uniq",
    "zstd",
    "gzip",
    "flock",
    "setpriv",
  ]) {
    symlinkSync(join("/usr/bin", name), join(programs, name));
  }
  const call = ["--reuid", "65534", "--clear-groups", "/bin/bash", join(tree, "scripts/setup")];
  spawnSync("chmod", ["-R", "a+rX", tree]);
  const script = readFileSync(join(tree, "scripts/setup"), "utf8").replaceAll("$PATH:/usr/sbin:/sbin", "$PATH");
  writeFileSync(join(tree, "scripts/setup"), script);
  const { status, stderr } = spawnSync("setpriv", call, { env: { PATH: programs }, encoding: "utf8" });
  assert.equal(stderr, "setup: missing Debian packages; as root, run: apt-get install -y pigz acl attr\n");
  assert.equal(status, 1);
});

test("setup refuses an unknown option", () => {
  const { status, stderr } = spawnSync(join(root, "scripts/setup"), ["--everything"], { encoding: "utf8" });
  assert.match(stderr, /unknown option --everything \(usage: scripts\/setup \[--test\]\)/);
  assert.equal(status, 1);
});

test("node_modules that differ from the lockfile are noticed", (context) => {
  const tree = copyScripts(context);
  const check = (): number | null => spawnSync(process.execPath, [join(tree, "scripts/check-modules.ts")]).status;
  const lock = (packages: object): string => JSON.stringify({ packages });
  const right = {
    "": {},
    "node_modules/a": { version: "1.0.0", integrity: "sha512-a" },
    "node_modules/b": { version: "1.0.0", optional: true },
  };
  const installed = { "node_modules/a": right["node_modules/a"] };
  mkdirSync(join(tree, "node_modules/a"), { recursive: true });
  writeFileSync(join(tree, "node_modules/a/package.json"), "{}");
  writeFileSync(join(tree, "package-lock.json"), lock(right));
  assert.equal(check(), 1, "an install that broke off");
  const assertInstalled = (packages: object, expected: 0 | 1): void => {
    writeFileSync(join(tree, "node_modules/.package-lock.json"), lock(packages));
    assert.equal(check(), expected, lock(packages));
  };
  assertInstalled(installed, 0);
  assertInstalled({}, 1);
  assertInstalled({ "node_modules/a": { version: "1.0.1", integrity: "sha512-a" } }, 1);
  assertInstalled({ "node_modules/a": { version: "1.0.0", integrity: "sha512-b" } }, 1);
  assertInstalled({ ...installed, "node_modules/c": { version: "1.0.0" } }, 1);
  rmSync(join(tree, "node_modules/a"), { recursive: true });
  assertInstalled(installed, 1);
});

test("the lockfile names no registry, and every package has its hash", () => {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as { readonly packages: Readonly<Record<string, object>> };
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (path === "") continue;
    assert.ok("integrity" in entry, path);
    assert.ok(!("resolved" in entry), path);
  }
});

test("the holdfast script runs through a link, and says what to do in a checkout that is not set up", (context) => {
  const tree = copyScripts(context);
  const link = join(tree, "link");
  symlinkSync("scripts/holdfast", link);
  const bare = spawnSync(link, ["list"], { cwd: "/", encoding: "utf8" });
  assert.equal(bare.stderr, `holdfast: this checkout is not set up yet; run ${tree}/scripts/setup first\n`);
  assert.equal(bare.status, 1);
  symlinkSync(join(root, ".runtime"), join(tree, ".runtime"));
  mkdirSync(join(tree, "node_modules"));
  mkdirSync(join(tree, "src"));
  writeFileSync(
    join(tree, "src/main.ts"),
    'console.log(process.argv.slice(2).join("|"), process.version);\nprocess.exitCode = 6 as number;\n',
  );
  const run = spawnSync(link, ["list", "two words"], {
    cwd: "/",
    encoding: "utf8",
    env: { PATH: ["/usr/bin", dirname("/bin/sh")].join(delimiter) },
  });
  assert.equal(run.stdout, "list|two words v26.10.0\n");
  assert.equal(run.stderr, "");
  assert.equal(run.status, 6);
});
