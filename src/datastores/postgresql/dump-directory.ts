import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Identity } from "../../base/identity.ts";
import { openProgram, streamProgram } from "../../base/subprocess.ts";
import type { DriverContext } from "../contract.ts";
import type { PlannedEntry } from "./plan-dump.ts";
import { makeSpoolDirectory } from "./restore-spool.ts";

/** A dump by parallel jobs, which needs files, as a tar of its directory. They are gone when the stream has ended or was left. */
export async function* dumpDirectory(
  entry: Pick<PlannedEntry, "prepare">,
  identity: Identity | null,
  context: DriverContext,
  onStderrLine: (line: string) => void,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const place = await makeSpoolDirectory(context.stagingDir, identity);
  try {
    context.progress({ phase: "dumping" });
    const path = join(place, "dump");
    const { program, args, options } = entry.prepare({ directory: path });
    await using tool = openProgram(program, args, { ...options, onStderrLine }, signal);
    tool.stdout?.resume();
    await tool.finished;
    yield* streamProgram("tar", [...tarArgs, "-C", path, "."], {}, signal);
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

/** Nothing of this machine is in it: no owners, one order. */
const tarArgs = [
  "--create",
  "--file=-",
  "--format=posix",
  "--sort=name",
  "--numeric-owner",
  "--owner=0",
  "--group=0",
  "--blocking-factor=128",
];
