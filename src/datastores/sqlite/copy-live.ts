import { rm } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import type { DriverContext } from "../contract.ts";
import type { SnapshotResult } from "./child-protocol.ts";
import { resolveIdentity } from "../../base/identity.ts";
import type { SqliteOptions } from "./options.ts";
import { runChild } from "./run-child.ts";
import { isSameFile, type SourceFile } from "../sqlite-files/source-file.ts";
import { makeOwnedDirectory, takeOver } from "../sqlite-files/staging.ts";

export interface LiveCopy extends SnapshotResult {
  readonly path: string;
  readonly bytes: number;
}

/** Copies a live database into the staging directory, as its owner, and examines the copy. Throws `source-changed` when the file was replaced meanwhile. */
export async function copyLive(options: SqliteOptions, source: SourceFile, context: DriverContext, signal: AbortSignal): Promise<LiveCopy> {
  const identity = await resolveIdentity(options.runAs, source.attributes, signal);
  const directory = await makeOwnedDirectory(context.stagingDir, identity);
  try {
    const copy = join(directory, "copy.db");
    const { busyTimeoutMs, maxHoldMs, maxDurationMs, integrity, countRows } = options;
    const settings = { identity, progress: context.progress };
    const result = await runChild(
      { op: "snapshot", path: source.realPath, copy, busyTimeoutMs, maxHoldMs, maxDurationMs, integrity, countRows },
      settings,
      signal,
    );
    if (!(await isSameFile(options.path, source))) {
      throw new HoldfastError("source-changed", `${options.path} was replaced by another file while it was copied`);
    }
    return { ...result, ...(await takeOver(copy, context.stagingDir, identity)) };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
