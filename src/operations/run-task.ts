import { HoldfastError } from "../base/errors.ts";
import { runBackup } from "./backup.ts";
import { explainSystemError } from "./explain-system-error.ts";
import { runDrill } from "./drill.ts";
import { runCopy } from "./copy.ts";
import { runInspection } from "./inspect-targets.ts";
import { runRemoval } from "./remove-backups.ts";
import { runRestore } from "./restore.ts";
import type { TaskPorts } from "./setup.ts";
import { runScratch, runScratchRemoval } from "./scratch/run-scratch.ts";
import { runVerify } from "./verify.ts";

/** What a worker can be asked to do, and how. */
const operations = {
  backup: runBackup,
  verify: runVerify,
  drill: runDrill,
  restore: runRestore,
  remove: runRemoval,
  copy: runCopy,
  plan: runInspection,
  scratch: runScratch,
  unscratch: runScratchRemoval,
} as const;

type Operations = typeof operations;
export type OperationKind = keyof Operations;
export type OperationSetup<Kind extends OperationKind> = Parameters<Operations[Kind]>[0];
export type OperationResult<Kind extends OperationKind> = Awaited<ReturnType<Operations[Kind]>>;

/** Carries out one operation; used by the worker process and, in-process, by the offline CLI. */
export async function runOperation(kind: string, setup: unknown, ports: TaskPorts, signal: AbortSignal): Promise<unknown> {
  if (!Object.hasOwn(operations, kind)) throw new HoldfastError("internal", `Bug: unknown operation "${kind}"`);
  // The setup was made by this build for this operation: `startOperation` ties both types together.
  const run = operations[kind as OperationKind] as (setup: unknown, ports: TaskPorts, signal: AbortSignal) => Promise<unknown>;
  try {
    return await run(setup, ports, signal);
  } catch (error) {
    throw explainSystemError(error);
  }
}
