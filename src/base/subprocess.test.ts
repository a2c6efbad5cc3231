import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "./errors.ts";
import { runProgram, streamProgram } from "./subprocess.ts";

const signal = new AbortController().signal;

test("a program's output, status and a minimal environment", async () => {
  process.env["PGPASSWORD"] = "leak";
  const { stdout, exitCode } = await runProgram("sh", ["-c", "env; exit 3"], { accept: [3] }, signal);
  delete process.env["PGPASSWORD"];
  assert.equal(exitCode, 3);
  assert.doesNotMatch(stdout, /PGPASSWORD/);
});

test("a failing program is an error that tells its status and reason", async () => {
  await assert.rejects(runProgram("sh", ["-c", "echo why >&2; exit 4"], {}, signal), (error: unknown) => {
    assert.ok(error instanceof HoldfastError);
    assert.equal(error.code, "tool-failed");
    assert.equal(error.message, "sh exited with 4: why");
    return true;
  });
});

test("a directory that is not there is not taken for a missing program, and a status of 127 not for one of ours", async () => {
  await assert.rejects(runProgram("true", [], { cwd: "/no/such/place" }, signal), {
    code: "tool-failed",
    message: "true cannot be run in /no/such/place: there is no such directory",
  });
  await assert.rejects(runProgram("sh", ["-c", "echo 'OCI runtime exec failed' >&2; exit 127"], {}, signal), {
    code: "tool-failed",
    message: "sh exited with 127: OCI runtime exec failed",
  });
});

test("a program that is not installed is named", async () => {
  await assert.rejects(runProgram("no-such-program", [], {}, signal), {
    code: "tool-missing",
    message: "no-such-program is not installed",
  });
});

test("F34 a stream whose producer dies is an error, never a short success", async () => {
  let bytes = 0;
  await assert.rejects(
    async () => {
      for await (const chunk of streamProgram("sh", ["-c", "echo some; kill -9 $$"], {}, signal)) bytes += chunk.length;
    },
    { code: "tool-failed" },
  );
  assert.equal(bytes, 5);
});

test("a time limit and a cancellation end the child", async () => {
  await assert.rejects(runProgram("sleep", ["100"], { timeoutMs: 50 }, signal), { code: "timeout" });
  const controller = new AbortController();
  const running = runProgram("sleep", ["100"], {}, controller.signal);
  controller.abort();
  await assert.rejects(running, { code: "cancelled" });
});

test("ending the iteration early stops the producer", async () => {
  for await (const chunk of streamProgram("yes", [], {}, signal)) {
    assert.ok(chunk.length > 0);
    break;
  }
});

test("every line of standard error is told, however many, and very long ones are cut", async () => {
  const lines: string[] = [];
  const onStderrLine = (line: string): void => void lines.push(line);
  const { stderr } = await runProgram("sh", ["-c", "seq 1 50000 >&2; printf 'no end of line' >&2"], { onStderrLine }, signal);
  assert.equal(lines.length, 50_001);
  assert.deepEqual(lines.slice(0, 2), ["1", "2"]);
  assert.deepEqual(lines.slice(-2), ["50000", "no end of line"]);
  assert.ok(stderr.length <= 4_000);
  lines.length = 0;
  await runProgram("sh", ["-c", "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo next >&2"], { onStderrLine }, signal);
  assert.deepEqual(
    lines.map(({ length }) => length),
    [20_000, 4],
  );
});
