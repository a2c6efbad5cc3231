import assert from "node:assert/strict";
import type { Installation } from "./daemon.ts";

/** Runs the program, which must end with 0; gives all that it says. */
export async function run(installation: Installation, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await installation.holdfast([...args]);
  assert.equal(status, 0, `${args.join(" ")}: ${stderr}`);
  return stdout + stderr;
}

/** Runs the program, which must end with that status; gives its complaint. */
export async function refuse(installation: Installation, expected: number, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await installation.holdfast([...args]);
  assert.equal(status, expected, `${args.join(" ")}: ${stdout}${stderr}`);
  return stderr;
}
