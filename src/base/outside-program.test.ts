import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isRunning } from "../../test/support/processes.ts";
import { runOutside, type OutsideCommand } from "./outside-program.ts";

const signal = AbortSignal.timeout(60_000);
const directory = mkdtempSync(join(tmpdir(), "outside-"));
const previous = process.env["HOLDFAST_HOOKS"];

before(() => {
  process.env["HOLDFAST_HOOKS"] = "direct";
});
after(() => {
  if (previous === undefined) delete process.env["HOLDFAST_HOOKS"];
  else process.env["HOLDFAST_HOOKS"] = previous;
  rmSync(directory, { recursive: true });
});

function shell(script: string, extra: Partial<OutsideCommand> = {}): OutsideCommand {
  return { command: ["sh", "-c", script], timeoutMs: 20_000, background: "stays", name: "holdfast-test", ...extra };
}

test("what a command leaves in the background stays, with its output open, and does not hold up the command's end", async () => {
  const pidFile = join(directory, "pid");
  await runOutside(shell(`sleep 1000 & echo $! > ${pidFile}`), signal);
  const pid = Number(readFileSync(pidFile, "utf8"));
  assert.ok(isRunning(pid));
  process.kill(pid, "SIGKILL");
});

test("at the time limit a command is killed with all that it started", async () => {
  const pidFile = join(directory, "pid-killed");
  await assert.rejects(runOutside(shell(`sleep 1000 & echo $! > ${pidFile}; wait`, { timeoutMs: 1_000 }), signal), {
    code: "timeout",
    message: "it did not end within 1s",
  });
  while (isRunning(Number(readFileSync(pidFile, "utf8")))) await new Promise((resolve) => setImmediate(resolve));
});

test("a failure tells the end of the output", async () => {
  await assert.rejects(runOutside(shell("for i in 1 2 3 4; do echo line $i; done; echo reason >&2; exit 3"), signal), {
    code: "tool-failed",
    message: "it exited with 3: line 3; line 4; reason",
  });
  await assert.rejects(runOutside({ ...shell(""), command: ["/no/such/program"] }, signal), /ENOENT/);
});

test("P9 a failure tells no colours and nothing else that a terminal obeys: pm2 colours what it says to anybody", async () => {
  await assert.rejects(runOutside(shell(String.raw`printf '\033[31m[PM2][ERROR] \033[39mnot found\007\033]0;x\007\n'; exit 1`), signal), {
    code: "tool-failed",
    message: "it exited with 1: [PM2][ERROR] not found",
  });
});

test("input, environment, directory and account reach the command; the task's marker does not", async () => {
  const out = join(directory, "out");
  process.env["HOLDFAST_TASK"] = "marker";
  try {
    await runOutside(
      shell(`{ cat; pwd; echo "$A"; id -un; echo "[$HOLDFAST_TASK]"; } > ${out}`, { input: "typed\n", env: { A: "b c" }, cwd: "/usr" }),
      signal,
    );
  } finally {
    delete process.env["HOLDFAST_TASK"];
  }
  assert.equal(readFileSync(out, "utf8"), "typed\n/usr\nb c\nroot\n[]\n");
  await runOutside(shell("test $(id -un) = nobody", { runAs: "nobody" }), signal);
  await assert.rejects(runOutside(shell("true", { runAs: "no-such-user" }), signal), { code: "config-invalid" });
});

test("a working directory that is not there is named, and not the program", async () => {
  await assert.rejects(runOutside(shell("true", { cwd: join(directory, "nosuch") }), signal), {
    code: "tool-failed",
    message: `it cannot be run in ${join(directory, "nosuch")}: there is no such directory`,
  });
});
