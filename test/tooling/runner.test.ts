import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test, type TestContext } from "node:test";
import { execa } from "execa";
import { runStep } from "../support/run-step.ts";

const root = resolve(import.meta.dirname, "../..");

interface RunnerOutcome {
  readonly status: number | undefined;
  readonly output: string;
  readonly lastLine: string;
}

/** Runs the suite on test files made of the given bodies, as `scripts/test FILE…` does. */
async function runOn(
  context: TestContext,
  bodies: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Promise<RunnerOutcome> {
  const directory = makeDirectory(context);
  for (const [name, body] of Object.entries(bodies)) {
    writeFileSync(
      join(directory, `${name}.test.ts`),
      `import assert from "node:assert/strict";\nimport { test, describe } from "node:test";\n${body}\n`,
    );
  }
  return runSuite([directory], env);
}

async function runSuite(args: readonly string[], env: Readonly<Record<string, string>>): Promise<RunnerOutcome> {
  const { exitCode, all } = await execa(process.execPath, [join(root, "test/support/run-suite.ts"), ...args], {
    cwd: "/",
    env: { CI: "false", ...env },
    stdin: "ignore",
    all: true,
    reject: false,
  });
  return { status: exitCode, output: all, lastLine: all.split("\n").at(-1) ?? "" };
}

function makeDirectory(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "runner-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const passing = 'test("good", () => {});';

test("the runner counts what passed and exits with 0", async (context) => {
  const { status, output, lastLine } = await runOn(context, { one: passing, two: `describe("suite", () => { ${passing} });` });
  assert.equal(lastLine, "2 passed, 0 failed, 0 skipped", output);
  assert.equal(status, 0);
});

test("the runner fails with a failing test, names it and shows its error", async (context) => {
  const { status, output, lastLine } = await runOn(context, {
    one: `${passing} test("bad", () => { assert.equal(1, 2, "one is not two"); });`,
  });
  assert.equal(lastLine, "1 passed, 1 failed, 0 skipped");
  assert.equal(status, 1);
  assert.match(output, /one\.test\.ts:3 {2}bad\n[^]*one is not two/);
});

test("the runner counts a child's failure once, under the names of its parents", async (context) => {
  const { output, lastLine } = await runOn(context, {
    one: 'describe("outer", () => { test("inner", () => { throw new Error("x"); }); });',
  });
  assert.equal(lastLine, "0 passed, 1 failed, 0 skipped");
  assert.match(output, /outer › inner/);
});

test("a skipped test is counted, and fails the run where CI=true", async (context) => {
  const bodies = { one: `${passing} test.skip("left out", () => {}); test("later", { todo: true }, () => {});` };
  const here = await runOn(context, bodies);
  assert.equal(here.lastLine, "1 passed, 0 failed, 2 skipped");
  assert.equal(here.status, 0);
  const inCi = await runOn(context, bodies, { CI: "true" });
  assert.equal(inCi.lastLine, "1 passed, 0 failed, 2 skipped");
  assert.equal(inCi.status, 1);
});

test("a file that holds no test, or that breaks off, fails the run", async (context) => {
  const empty = await runOn(context, { one: "", two: passing });
  assert.equal(empty.lastLine, "1 passed, 1 failed, 0 skipped");
  assert.match(empty.output, /one\.test\.ts:1 {2}the file holds no test/);
  const broken = await runOn(context, { one: 'throw new Error("at import");' });
  assert.equal(broken.status, 1);
  assert.match(broken.output, /the file did not run to its end/);
  assert.match(broken.output, /Error: at import/, "the file's output is shown");
  const late = await runOn(context, { one: `${passing} setImmediate(() => process.exit(3));` });
  assert.equal(late.status, 1, late.output);
});

test("a warning fails the run, also that of a program whose output the test swallows", async (context) => {
  const own = await runOn(context, { one: 'test("warns", () => { process.emitWarning("careful"); });' });
  assert.equal(own.lastLine, "1 passed, 1 failed, 0 skipped");
  assert.match(own.output, /\(node:\d+\) Warning: careful/);
  const program = 'spawnSync(process.execPath, ["-e", "process.emitWarning(`swallowed`)"], { stdio: "ignore" });';
  const child = await runOn(context, { one: `import { spawnSync } from "node:child_process"; test("calls", () => { ${program} });` });
  assert.equal(child.lastLine, "1 passed, 1 failed, 0 skipped");
  assert.match(child.output, /\(node:\d+\) Warning: swallowed/);
});

test("a process left running fails the run and is ended, also one without the run's environment", async (context) => {
  const directory = makeDirectory(context);
  const start = (pidFile: string, options: string): string =>
    `const child = spawn("sleep", ["600"], { detached: true, stdio: "ignore", ${options} }); child.unref(); writeFileSync("${pidFile}", String(child.pid));`;
  for (const [name, options] of Object.entries({
    marked: "",
    clean: 'env: { PATH: "/usr/bin" }, cwd: mkdtempSync(process.env.TMPDIR + "/x")',
  })) {
    const pidFile = join(directory, name);
    const imports = 'import { spawn } from "node:child_process"; import { mkdtempSync, writeFileSync } from "node:fs";';
    const { output, status } = await runOn(context, { one: `${imports} test("forgets", () => { ${start(pidFile, options)} });` });
    assert.equal(status, 1);
    assert.match(output, /left a process running: \d+ sleep 600/);
    assert.equal(existsSync(`/proc/${readFileSync(pidFile, "utf8")}/exe`), false, `${name}: still runs`);
  }
});

test("a file left in TMPDIR fails the run and is removed", async (context) => {
  const leave =
    'import { mkdtempSync } from "node:fs"; import { tmpdir } from "node:os"; test("forgets", () => { console.log("made", mkdtempSync(`${tmpdir()}/rest-`)); assert.fail(); });';
  const { output, lastLine } = await runOn(context, { one: leave });
  assert.equal(lastLine, "0 passed, 2 failed, 0 skipped");
  assert.match(output, /left in TMPDIR: rest-\w+/);
  const made = /made (\S+)/.exec(output)?.[1] ?? "/";
  assert.equal(existsSync(made), false);
});

test("a mount left in TMPDIR fails the run and is taken off without touching what is mounted", async (context) => {
  const directory = makeDirectory(context);
  mkdirSync(join(directory, "precious"));
  writeFileSync(join(directory, "precious/file"), "kept");
  const mount = `mkdirSync(process.env.TMPDIR + "/m"); execFileSync("mount", ["--bind", "${directory}/precious", process.env.TMPDIR + "/m"]);`;
  const imports = 'import { execFileSync } from "node:child_process"; import { mkdirSync } from "node:fs";';
  const { output, status } = await runOn(context, { one: `${imports} test("forgets", () => { ${mount} });` });
  assert.equal(status, 1);
  assert.match(output, /left a mount: \S+\/m/);
  assert.equal(readFileSync(join(directory, "precious/file"), "utf8"), "kept");
  assert.doesNotMatch(readFileSync("/proc/self/mountinfo", "utf8"), new RegExp(`${directory}/precious`));
});

test("a test over its time limit fails; a file that never ends is named and ended", async (context) => {
  const limit = { HOLDFAST_TEST_TIMEOUT_MS: "400" };
  const slow = await runOn(
    context,
    { one: 'test("slow", async () => { await new Promise((go) => setTimeout(go, 60_000).unref() && setTimeout(go, 2_000)); });' },
    limit,
  );
  assert.equal(slow.status, 1);
  assert.match(slow.output, /timed out after 400ms/);
  const hung = await runOn(context, { one: `${passing} setInterval(() => {}, 1_000);` }, limit);
  assert.equal(hung.lastLine, "1 passed, 1 failed, 0 skipped");
  assert.match(hung.output, /hung or was stopped; not finished: \S+one\.test\.ts\n/);
});

test("a run that is told to stop ends its tests, cleans up and says so", async (context) => {
  const runnerPid = 'readFileSync(`/proc/${process.ppid}/status`, "utf8").match(/PPid:\\s+(\\d+)/)[1]';
  const imports = 'import { mkdtempSync, readFileSync } from "node:fs";';
  const stop = `mkdtempSync(process.env.TMPDIR + "/open-"); process.kill(Number(${runnerPid}), "SIGTERM"); await new Promise((go) => setTimeout(go, 60_000));`;
  const { status, output, lastLine } = await runOn(context, { one: `${imports} test("stops it", async () => { ${stop} });` });
  assert.equal(status, 1, output);
  assert.match(output, /\n {2}the run was interrupted\n/);
  assert.match(lastLine, /^0 passed, \d failed, 0 skipped$/);
  const left = /left in TMPDIR: (open-\w+)/.exec(output)?.[1];
  assert.ok(left !== undefined, output);
});

test("--long reaches the tests", async (context) => {
  const directory = makeDirectory(context);
  writeFileSync(
    join(directory, "one.test.ts"),
    'import { test } from "node:test";\ntest("x", { skip: process.env.HOLDFAST_LONG !== "1" }, () => {});\n',
  );
  assert.equal((await runSuite([join(directory, "one.test.ts")], { HOLDFAST_LONG: "" })).lastLine, "0 passed, 0 failed, 1 skipped");
  assert.equal((await runSuite(["--long", join(directory, "one.test.ts")], {})).lastLine, "1 passed, 0 failed, 0 skipped");
});

test("a path that is not there fails the run", async () => {
  const { status, lastLine } = await runSuite(["/nowhere/at-all.test.ts"], {});
  assert.equal(lastLine, "0 passed, 1 failed, 0 skipped");
  assert.equal(status, 1);
});

test("a step fails by its exit status or by a warning, and its output is kept", async () => {
  const run = async (script: string) =>
    runStep(root, { name: "x", command: [process.execPath, "-e", script] }, AbortSignal.timeout(60_000));
  assert.equal((await run("")).ok, true);
  const failed = await run('console.log("why"); process.exitCode = 1;');
  assert.deepEqual(failed, { ok: false, output: "why" });
  assert.equal((await run('process.emitWarning("careful");')).ok, false);
  assert.equal((await runStep(root, { name: "x", command: ["/nowhere/at-all"] }, AbortSignal.timeout(60_000))).ok, false);
});
