import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { describeCause, readErrno } from "../base/errors.ts";
import type { Core } from "./core.ts";

/** Of a look at what a restore would replace, which is no task. */
const planName = /^plan-[0-9a-z]{20}-[0-9A-Za-z]{6}$/;

/**
 * Removes the staging directories that the last daemon left behind: they hold copies of data. Those of tasks where the queue knows them, those
 * of plans where the directory is the daemon's own; whatever else lies there may be somebody else's. To be called before any task runs, and when
 * interrupted restores have been ended: what they had staged is of use until then.
 */
export async function sweepStaging(core: Pick<Core, "config" | "queue" | "log">): Promise<void> {
  const { stagingDir, stateDir } = core.config.settings;
  const isOwn = stagingDir.startsWith(`${stateDir}/`);
  const names = await readdir(stagingDir).catch((error: unknown) => {
    if (readErrno(error) === "ENOENT") return [];
    throw error;
  });
  for (const name of names) {
    const id = /^([0-9a-z]{20})-[0-9A-Za-z]{6}$/.exec(name)?.[1];
    const isTask = id !== undefined && core.queue.get(id) !== undefined;
    if (!isTask && !(isOwn && planName.test(name))) continue;
    const about = isTask ? { task: id } : { directory: name };
    core.log.warn("What an interrupted run had staged is removed", about);
    // It is in the way of nothing but the disk's space, which is watched.
    await rm(join(stagingDir, name), { recursive: true, force: true, maxRetries: 2 }).catch((error: unknown) => {
      core.log.warn(`It cannot be removed: ${describeCause(error)}`, about);
    });
  }
}
