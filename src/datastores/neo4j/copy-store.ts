import { mkdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import { runProgram } from "../../base/subprocess.ts";
import type { Copying } from "../contract.ts";
import { explainSpace } from "../trees/explain-fault.ts";
import { readTreeState } from "../trees/tree-state.ts";
import { describeServers, findServers } from "./find-servers.ts";
import { requireNoLinks } from "./require-no-links.ts";
import { listStoreDirectories, storeParts } from "./store-places.ts";

/** Copies a directory with all its attributes; shares the blocks where the file system can. The copy must not be there. */
export async function copyDirectory(from: string, to: string, what: string, signal: AbortSignal): Promise<void> {
  try {
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    await runProgram("cp", ["--archive", "--reflink=auto", "--no-target-directory", "--", from, to], {}, signal);
  } catch (error) {
    throw explainSpace(error, what);
  }
}

/** The directories of one database, to the same places below another data directory. */
export async function copyStore(from: string, to: string, database: string, what: string, signal: AbortSignal): Promise<void> {
  const sources = listStoreDirectories(from, database);
  requireNoLinks(sources, what, "source-unreadable");
  for (const [index, source] of sources.entries())
    await copyDirectory(source, join(to, storeParts[index] ?? "", basename(source)), what, signal);
}

/**
 * Has `copy` done while nothing moves, which is proven and not believed: no server has the data open (unless it is paused), before and after,
 * and no inode has changed meanwhile. @throws source-locked, source-changed
 */
export async function copyWhileStill(
  source: { readonly data: string; readonly directories: readonly string[]; readonly copying: Copying; readonly what: string },
  copy: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { data, copying, what } = source;
  const refuse = (): void => {
    const users = copying === "paused" ? [] : findServers(data);
    if (users.length === 0) return;
    throw new HoldfastError(
      "source-locked",
      `${what}: a server is running on ${data} (${describeServers(users)}), and a copy of its files would be torn`,
      {
        hint: "Give the datastore a `service`, which is stopped for the copy and started again at once; `copy: paused` freezes it only.",
      },
    );
  };
  refuse();
  const before = await readStates(source.directories, signal);
  await copy();
  const after = await readStates(source.directories, signal);
  refuse();
  if (before !== undefined && before === after) return;
  throw new HoldfastError("source-changed", `${what}: the files in ${data} changed while they were copied`, {
    hint:
      copying === "paused"
        ? "Does the service's `pause` really stop the server?"
        : "Something has started the server: let its `service` alone stop and start it.",
  });
}

async function readStates(directories: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  const states: string[] = [];
  for (const directory of directories) {
    const state = await readTreeState(directory, signal);
    if (state === undefined) return undefined;
    states.push(state);
  }
  return states.join(" ");
}

/** What was copied, in a staging directory that a caller goes on using. */
export async function removeCopies(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rm(path, { recursive: true, force: true });
}
