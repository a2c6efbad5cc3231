import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";

/**
 * A private directory that is removed with everything in it when it is closed. Its parent may be entered but not listed by others.
 * Closing never throws: what cannot be removed goes with the task's own directory, or is swept when the daemon starts.
 */
export interface StagingDirectory extends AsyncDisposable {
  readonly path: string;
}

export async function openStagingDirectory(parent: string, prefix: string): Promise<StagingDirectory> {
  await mkdir(parent, { recursive: true, mode: 0o711 });
  const path = await mkdtemp(join(parent, `${prefix}-`));
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true, maxRetries: 2 }).catch(() => undefined);
    },
  };
}
