import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "../base/errors.ts";
import { runCheck } from "./run-check.ts";
import { runHook } from "./run-hook.ts";

const noSignal = new AbortController().signal;
const limits = { timeoutMs: 5_000, retryForMs: 0 };

test("F71 what a command or an address that failed is called holds no password", async () => {
  const hook = { command: ["/bin/false", "--password", "canary1", "--token=canary2", "kept"], timeoutMs: 10_000 };
  const check = { kind: "http" as const, http: "http://u:canary3@127.0.0.1:1/?token=canary4", status: 200, ...limits };
  const isClean = (error: unknown): boolean =>
    error instanceof HoldfastError && !/canary/.test(error.message) && /kept|GET/.test(error.message);
  await assert.rejects(runHook(hook, "stop", noSignal), isClean);
  await assert.rejects(runCheck(check, { stagingDir: "/nonexistent" }, noSignal), isClean);
});
