import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";
import { HoldfastError, reviveError } from "../../base/errors.ts";
import { openProgram } from "../../base/subprocess.ts";
import type { DriverContext } from "../contract.ts";
import type { ChildMessage, ChildOperation, ChildRequest, ChildResults } from "./child-protocol.ts";
import type { Identity } from "../../base/identity.ts";

/** Source and compiled program lie side by side with this file and share its extension. */
const childPath = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./child.ts" : "./child.js", import.meta.url));

export interface ChildSettings {
  readonly identity: Identity | null;
  readonly progress?: DriverContext["progress"];
}

/** Performs one operation in a process of its own. Its failure is a HoldfastError whose message is the reason alone. */
export async function runChild<Operation extends ChildOperation>(
  operation: Operation,
  settings: ChildSettings,
  signal: AbortSignal,
): Promise<ChildResults[Operation["op"]]> {
  await using child = openProgram(process.execPath, [childPath], { stdin: "pipe" }, signal);
  const request: ChildRequest = { operation, identity: settings.identity };
  // The pipe stays open: its end would end the child.
  child.stdin?.on("error", () => undefined);
  child.stdin?.write(`${JSON.stringify(request)}\n`);
  let last: ChildMessage | undefined;
  if (child.stdout !== null) {
    for await (const line of createInterface({ input: child.stdout })) {
      last = JSON.parse(line) as ChildMessage;
      if (last.type === "progress") settings.progress?.({ phase: last.phase, bytes: last.bytes, totalBytes: last.totalBytes });
    }
  }
  await child.finished;
  if (last?.type === "failed") throw reviveError(last.error);
  if (last?.type !== "done") throw new HoldfastError("tool-failed", "the process that reads the database ended without a result");
  return last.result as ChildResults[Operation["op"]];
}
