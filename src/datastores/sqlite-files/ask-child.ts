import { createInterface } from "node:readline";
import { HoldfastError, reviveError } from "../../base/errors.ts";
import type { Identity } from "../../base/identity.ts";
import { openProgram } from "../../base/subprocess.ts";
import type { DriverContext } from "../contract.ts";
import type { ChildMessage, ChildRequest } from "./serve-child.ts";

export interface ChildSettings {
  readonly identity: Identity | null;
  readonly progress?: DriverContext["progress"];
}

/**
 * Has a program that serves (`serveChild`) perform one operation, and gives its result. Its failure is a HoldfastError whose message is the
 * reason alone.
 */
export async function askChild(childPath: string, operation: unknown, settings: ChildSettings, signal: AbortSignal): Promise<unknown> {
  await using child = openProgram(process.execPath, [childPath], { stdin: "pipe" }, signal);
  const request: ChildRequest<unknown> = { operation, identity: settings.identity };
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
  return last.result;
}
