import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { readErrno } from "../base/errors.ts";
import type { Core } from "./core.ts";

/** Of a look at what a restore would replace, which is no task. */
const planName = /^plan-[0-9a-z]{20}-[0-9A-Za-z]{6}$/;

/**
 * Removes the staging directories that the last daemon left behind: they hold copies of data. Those of tasks only where the queue knows them;
 * whatever else lies there may be somebody else's. To be called before any task runs, and when interrupted
 * restores have been ended: what they had staged is of use until then.
 */
export async function sweepStaging(core: Pick<Core, "config" | "queue" | "log">): Promise<void> {
  const { stagingDir } = core.config.settings;
  const names = await readdir(stagingDir).catch((error: unknown) => {
    if (readErrno(error) === "ENOENT") return [];
    throw error;
  });
  for (const name of names) {
    const id = /^([0-9a-z]{20})-[0-9A-Za-z]{6}$/.exec(name)?.[1];
    const isTask = id !== undefined && core.queue.get(id) !== undefined;
    if (!isTask && !planName.test(name)) continue;
    core.log.warn(`What an interrupted run had staged is removed`, isTask ? { task: id } : { directory: name });
    await rm(join(stagingDir, name), { recursive: true, force: true });
  }
}
