import type { CatalogBackup } from "../catalog/contract.ts";
import type { JobConfig } from "../config/config.ts";
import type { Task } from "../queue/contract.ts";
import type { Core } from "./core.ts";
import { createBackupKey, findDestination } from "./find-config.ts";
import type { TaskPayload } from "./payload.ts";

/** Asks for a copy of a backup at another destination. */
export function requestCopy(core: Core, backup: CatalogBackup, to: string, requester: string): Task {
  findDestination(core.config, to);
  const payload: TaskPayload = { operation: "copy", job: backup.job, destination: backup.destination, backupId: backup.id, to };
  return core.queue.enqueue({
    kind: "copy",
    job: backup.job,
    payload,
    keys: [createBackupKey(backup.destination, backup.id), createBackupKey(to, backup.id)],
    priority: requester === "job" ? "maintenance" : "interactive",
    requester,
    maxAttempts: requester === "job" ? 5 : 1,
    onInterrupt: "retry",
    coalesceKey: `copy:${backup.destination}/${backup.id}:${to}`,
  }).task;
}

/** The copies that a job makes of each of its backups. */
export function requestCopies(core: Core, job: JobConfig, backup: CatalogBackup): void {
  for (const to of job.copies) if (to !== backup.destination) requestCopy(core, backup, to, "job");
}
