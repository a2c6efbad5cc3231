import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { bedCheckout, SystemdBed } from "../support/systemd-bed.ts";

const root = resolve(import.meta.dirname, "../..");
let bed: SystemdBed;

before(async () => {
  bed = await SystemdBed.open(AbortSignal.timeout(120_000));
  await bed.shell(`${bedCheckout}/scripts/install`, 300_000);
});
after(async () => {
  await bed[Symbol.asyncDispose]();
});

/** Runs a module's text inside a service with the sandbox of the shipped unit; gives what it printed. */
async function runInSandbox(name: string, text: string): Promise<string> {
  const directives = readFileSync(join(root, "systemd/holdfast.service"), "utf8")
    .replace(/^\[Install\][\s\S]*/m, "")
    .replaceAll(/^(Type|NotifyAccess|ExecStart|ExecReload|Restart|WatchdogSec|OnFailure|StartLimit\w+)=.*\n/gm, "");
  const node = "/usr/local/lib/holdfast/current/bin/node";
  await bed.write(`/opt/${name}.ts`, text);
  await bed.write(
    `/etc/systemd/system/${name}.service`,
    `${directives}\nType=oneshot\nReadWritePaths=/var/backups/holdfast\nExecStart=${node} /opt/${name}.ts\n`,
  );
  const { status } = await bed.run(["bash", "-c", `systemctl daemon-reload; systemctl start ${name}`]);
  const output = await bed.shell(`journalctl --sync; journalctl -o cat _SYSTEMD_UNIT=${name}.service`);
  assert.equal(status, 0, output);
  return output;
}

const outside = `import { runOutside } from "${bedCheckout}/src/base/outside-program.ts";
const signal = AbortSignal.timeout(50_000);
const run = (command: string[], extra: object = {}) => runOutside({ command, timeoutMs: 20_000, background: "stays", name: "holdfast-hook", ...extra }, signal);
`;

test("G4: the units are valid, and installing them without a network starts nothing", async () => {
  const { stdout, stderr, status } = await bed.run([
    "systemd-analyze",
    "verify",
    "--man=no",
    "holdfast.service",
    "holdfast-failure@x.service",
  ]);
  assert.equal(`${status}${stdout}${stderr}`, "0");
  assert.match((await bed.run(["systemctl", "is-active", "holdfast"])).stdout, /^inactive/);
  assert.match(await bed.shell("holdfast --version"), /^\d+\.\d+\.\d+$/);
  assert.equal(
    await bed.shell("stat -c '%a %U' /etc/holdfast /etc/holdfast/holdfast.yaml /var/backups/holdfast | paste -sd,"),
    "750 root,640 root,750 root",
  );
  await bed.shell("getent group holdfast");
});

test("G4: exposure of the units stays below its bounds", async () => {
  const bounds = { "holdfast.service": 36, "holdfast-failure@x.service": 30 };
  for (const [unit, bound] of Object.entries(bounds)) {
    const { status, stdout } = await bed.run(["systemd-analyze", "security", `--threshold=${bound}`, unit]);
    assert.equal(status, 0, stdout.trim().split("\n").at(-1) ?? "");
  }
});

/** The commands of the README's section on the installation, without its comments. */
function readInstallSteps(): readonly string[] {
  const text = readFileSync(join(root, "README.md"), "utf8");
  const block = /## Install\n\n```sh\n([^`]*(?:`[^`]+`[^`]*)*)\n```/.exec(text)?.[1] ?? "";
  return block.split("\n").map((line) => line.replace(/ +# .*/, ""));
}

const edited = `
destinations:
  local: { kind: local, path: /var/backups/holdfast }
datastores:
  uploads: { kind: files, root: /srv/app/uploads }
jobs:
  nightly: { datastores: [uploads], schedule: daily, destination: local, layout: archive }
`;

test("G4: the README's way from the installation to the first backup works as it is written, and the first config is one to run on", async () => {
  const config = "/etc/holdfast/holdfast.yaml";
  for (const [, path = ""] of (await bed.shell(`head -5 ${config}`)).matchAll(/(\/[\w./-]+\.(?:json|yaml))/g))
    await bed.shell(`test -s ${path}; test -d "$(dirname ${path})/examples"`);
  await bed.shell("install -d /srv/app/uploads; echo text > /srv/app/uploads/one");
  const seen: string[] = [];
  for (const step of readInstallSteps()) {
    const [program = "", path = ""] = step.split(" ");
    if (step === `$EDITOR ${config}`) {
      assert.equal((await bed.run(["holdfast", "check"])).status, 0, "the first config");
      await bed.write(config, edited, "0640");
    } else if (program === "$EDITOR") await bed.shell(`holdfast check --verbose | sed -n '/^# /,$p' > ${path}`);
    else if (step === "holdfast check --verbose") assert.match((await bed.run(step.split(" "))).stdout, /^ReadWritePaths="-\/srv\/app"$/m);
    else await bed.shell(step.replace("scripts/install", `${bedCheckout}/scripts/install`), 300_000);
    if (program.startsWith("scripts/")) assert.equal(await bed.shell("systemctl is-active holdfast"), "active");
    seen.push(program);
  }
  assert.deepEqual([seen[0], seen.at(-1)], ["scripts/install", "holdfast"]);
  assert.match(await bed.shell("ls /var/backups/holdfast/nightly"), /^nightly_.*\.tar/m);
  await bed.shell("systemctl disable --now holdfast");
});

test("an upgrade keeps the config and the drop-ins, switches the program in one step and keeps one version before", async () => {
  await bed.shell("echo '# mine' >> /etc/holdfast/holdfast.yaml; echo '# mine' >> /etc/systemd/system/holdfast.service.d/paths.conf");
  const first = await bed.shell("readlink /usr/local/lib/holdfast/current");
  await bed.shell(`${bedCheckout}/scripts/install`, 300_000);
  const third = await bed.shell("readlink /usr/local/lib/holdfast/current");
  assert.notEqual(first, third);
  assert.equal(await bed.shell("ls /usr/local/lib/holdfast/versions | wc -l"), "2");
  await bed.shell("tail -1 /etc/holdfast/holdfast.yaml | grep mine; grep mine /etc/systemd/system/holdfast.service.d/paths.conf");
});

test("a hook runs outside the sandbox, what it started stays when its unit and the service end, and its arguments arrive as they are", async () => {
  const text = `${outside}
await run(["sh", "-c", "echo out > /etc/hook-was-here; nohup sleep 1001 & setsid sleep 1002 & sleep 1003 & printf '%s' \\"$1\\" > /etc/hook-args; id -un >> /etc/hook-args", "sh", "a $HOME \${HOME} $$ %n 'q' \\\\x"]);
await run(["sh", "-c", "test $(id -un) = nobody && test $PWD = /usr && test \\"$A\\" = 'b $HOME c'"], { runAs: "nobody", cwd: "/usr", env: { A: "b $HOME c" } });
await run(["systemctl", "is-system-running", "--quiet"]).catch(() => run(["systemctl", "is-active", "dbus"]));
await run(["sh", "-c", "cat > /etc/hook-input"], { input: "typed" });
console.log("done");`;
  assert.equal(await runInSandbox("probe-hook", text), "done");
  assert.equal(await bed.shell("cat /etc/hook-args"), "a $HOME ${HOME} $$ %n 'q' \\xroot");
  assert.equal(await bed.shell("cat /etc/hook-input"), "typed");
  assert.equal((await bed.shell("pgrep -xf 'sleep 100[123]' | wc -l")).trim(), "3");
  await bed.shell("pkill -xf 'sleep 100[123]'");
  await bed.waitFor("test -z \"$(systemctl list-units --all --no-legend 'holdfast-hook-*')\"");
});

test("F71 the variables of a hook arrive as they are, and stand in no argument, unit or property that others can read", async () => {
  const text = `${outside}
import { Secret } from "${bedCheckout}/src/base/secret.ts";
const value = "canary-\\\\ \\"q\\" 'a' $HOME \`id\` %n #;\\n two";
const look = "set -e; printf '%s|%s|%s' \\"$A\\" \\"$EMPTY\\" \\"$PLAIN\\" > /etc/hook-env; cat /proc/[0-9]*/cmdline /run/systemd/transient/*.service > /etc/hook-seen; systemctl show 'holdfast-hook-*' >> /etc/hook-seen; ls -a /tmp >> /etc/hook-seen";
await run(["sh", "-c", look], { env: { A: new Secret(value), EMPTY: new Secret(""), PLAIN: "plain", PATH: "/usr/bin:/bin" } });
console.log(JSON.stringify(value));`;
  const value = JSON.parse(await runInSandbox("probe-hook-env", text)) as string;
  assert.match(value, /^canary-\\ "q" 'a' \$HOME `id` %n #;\n two$/);
  assert.equal(await bed.shell("cat /etc/hook-env"), `${value}||plain`);
  const seen = await bed.shell("tr '\\0' ' ' < /etc/hook-seen");
  assert.match(seen, /EnvironmentFile/);
  assert.doesNotMatch(seen, /canary|holdfast-output/);
});

test("a hook that fails is told with the end of its output, one that hangs is killed with all that it started", async () => {
  const text = `${outside}
const tell = (error: Error) => console.log(error.message);
await run(["sh", "-c", "echo first; echo reason >&2; exit 3"]).catch(tell);
await run(["sh", "-c", "sleep 1004 & sleep 1005"], { timeoutMs: 1_000 }).catch(tell);
await run(["/no/such/program"]).catch((error: Error) => console.log(/No such file/.test(error.message) ? "not there" : error.message));
await run(["true"], { runAs: "no-such-user" }).catch(() => console.log("no user"));`;
  const lines = (await runInSandbox("probe-bad-hook", text)).split("\n");
  assert.deepEqual(lines, ["it exited with 3: first; reason", "it did not end within 1s", "not there", "no user"]);
  assert.equal((await bed.run(["pgrep", "-xf", "sleep 100[45]"])).stdout, "");
});

test("the sandbox leaves what backing up and restoring other users' files takes", async () => {
  await bed.shell("useradd -m app; install -o app -g app -m 600 /dev/null /home/app/data.db; install -d -m 700 -o app /srv/app");
  const text = `
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, chownSync, lchownSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
const base = "/var/backups/holdfast";
const attempt = (name: string, action: () => unknown) => {
  try { const result = action(); console.log(name + ": " + (typeof result === "string" ? result.trim() : "ok")); }
  catch (error) { console.log(name + ": " + ((error as NodeJS.ErrnoException).code ?? String(error))); }
};
const app = Number(execFileSync("id", ["-u", "app"]));
attempt("read a stranger's file", () => readFileSync("/home/app/data.db"));
attempt("write a backup", () => writeFileSync(base + "/x", "x"));
attempt("give it away", () => chownSync(base + "/x", app, app));
attempt("write to what was given away", () => writeFileSync(base + "/x", "y"));
attempt("setuid bit", () => { chmodSync(base + "/x", 0o4755); if ((statSync(base + "/x").mode & 0o7777) !== 0o4755) throw new Error("lost"); });
attempt("setgid directory", () => { mkdirSync(base + "/d"); chmodSync(base + "/d", 0o2775); if ((statSync(base + "/d").mode & 0o2000) === 0) throw new Error("lost"); });
attempt("link", () => { symlinkSync("x", base + "/l"); lchownSync(base + "/l", app, app); });
attempt("fifo", () => execFileSync("mkfifo", [base + "/f"]));
attempt("xattr", () => execFileSync("setfattr", ["-n", "user.a", "-v", "b", base + "/x"]));
attempt("become the owner", () => execFileSync("id", ["-un"], { uid: app, gid: app, encoding: "utf8" }));
attempt("become by setpriv", () => execFileSync("setpriv", ["--reuid=app", "--regid=" + app, "--init-groups", "--pdeathsig", "KILL", "id", "-un"], { encoding: "utf8" }));
attempt("nice and ionice", () => { execFileSync("nice", ["-n", "10", "true"]); execFileSync("ionice", ["-c", "3", "true"]); });
attempt("see descriptors", () => readdirSync("/proc/1/fd"));
attempt("see environments", () => readFileSync("/proc/1/environ"));
attempt("boot id", () => readFileSync("/proc/sys/kernel/random/boot_id"));
attempt("write elsewhere", () => writeFileSync("/etc/x", "x"));
attempt("write to a home", () => writeFileSync("/home/app/x", "x"));
attempt("mount", () => { const { status } = spawnSync("mount", ["-t", "tmpfs", "tmpfs", "/mnt"]); if (status !== 0) throw new Error("refused"); });
`;
  assert.deepEqual((await runInSandbox("probe-sandbox", text)).split("\n"), [
    "read a stranger's file: ok",
    "write a backup: ok",
    "give it away: ok",
    "write to what was given away: ok",
    "setuid bit: ok",
    "setgid directory: ok",
    "link: ok",
    "fifo: ok",
    "xattr: ok",
    "become the owner: app",
    "become by setpriv: app",
    "nice and ionice: ok",
    "see descriptors: ok",
    "see environments: ok",
    "boot id: ok",
    "write elsewhere: EROFS",
    "write to a home: EROFS",
    "mount: Error: refused",
  ]);
});

test("G4: log records reach journald with their priorities", async () => {
  const text = `import { openLog } from "${bedCheckout}/src/telemetry/open-log.ts";
using log = openLog({ format: "auto", level: "debug" });
log.error("it is error"); log.warn("it is warn\\n<0>forged"); log.info("it is info"); log.debug("it is debug");`;
  await runInSandbox("probe-log", text);
  const lines = await bed.shell("journalctl -o json _SYSTEMD_UNIT=probe-log.service");
  const records = lines.split("\n").map((line) => JSON.parse(line) as { readonly PRIORITY: string; readonly MESSAGE: string });
  assert.deepEqual(
    records.map(({ PRIORITY, MESSAGE }) => `${PRIORITY} ${MESSAGE}`),
    ["3 it is error", "4 it is warn\\n<0>forged", "6 it is info", "7 it is debug"],
  );
});

test("uninstalling removes what was installed, and neither config, state nor backups", async () => {
  await bed.shell("mkdir -p /var/lib/holdfast; touch /var/lib/holdfast/catalog /var/backups/holdfast/kept");
  await bed.shell(`${bedCheckout}/scripts/uninstall; ${bedCheckout}/scripts/uninstall`);
  const left = await bed.shell(
    "ls -d /usr/local/lib/holdfast /usr/local/bin/holdfast /etc/systemd/system/holdfast* /etc/sysusers.d/holdfast.conf /etc/holdfast/holdfast.yaml /var/lib/holdfast/catalog /var/backups/holdfast/kept 2>/dev/null || true",
  );
  assert.deepEqual(left.split("\n"), [
    "/etc/holdfast/holdfast.yaml",
    "/etc/systemd/system/holdfast.service.d",
    "/var/backups/holdfast/kept",
    "/var/lib/holdfast/catalog",
  ]);
});
