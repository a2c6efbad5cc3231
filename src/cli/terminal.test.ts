import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import { errorPolicies, HoldfastError, type ErrorCode } from "../base/errors.ts";
import { Terminal } from "./terminal.ts";

function fail(json: "json" | "text", thrown: unknown): { readonly status: number; readonly stdout: string; readonly stderr: string } {
  const written = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const)
    mock.method(process[name], "write", (text: string) => {
      written[name] += text;
      return true;
    });
  try {
    return { status: new Terminal(json).fail(thrown), ...written };
  } finally {
    mock.restoreAll();
  }
}

describe("an error on the terminal", () => {
  it("exits with the status of its code, whichever it is", () => {
    for (const [code, { exit }] of Object.entries(errorPolicies))
      assert.equal(fail("json", new HoldfastError(code as ErrorCode, "x")).status, exit);
  });

  it("tells message and hint to standard error, and nothing to standard output", () => {
    const { stdout, stderr } = fail("text", new HoldfastError("unknown-name", 'There is no job "x"', { hint: "Known: y." }));
    assert.equal(stdout, "");
    assert.equal(stderr, 'error: There is no job "x"\nhint: Known: y.\n');
  });

  it("is one JSON document for machines", () => {
    const { stdout, stderr } = fail("json", new HoldfastError("busy", "held", { details: { by: "rsync" } }));
    assert.deepEqual(JSON.parse(stdout), { error: { code: "busy", message: "held", hint: null, details: { by: "rsync" } } });
    assert.equal(stderr, "");
  });

  it("that nobody expected is a bug, says so with its place, and exits with 70", () => {
    const { status, stderr } = fail("text", new TypeError("x is not a function"));
    assert.equal(status, 70);
    assert.match(stderr, /^error: Bug: x is not a function\n.*\n\s+at /);
  });
});
