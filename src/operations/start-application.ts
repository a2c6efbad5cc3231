import { describeCause, HoldfastError } from "../base/errors.ts";
import type { Hook } from "../config/config.ts";
import { runHook } from "./run-hook.ts";
import type { TaskPorts } from "./setup.ts";

/**
 * Starts what was stopped, in order, each with one more try. One that does not start keeps no other from being started.
 * @throws hook-failed that names each one that did not
 */
export async function startAgain(start: readonly Hook[], signal: AbortSignal): Promise<void> {
  const failures: unknown[] = [];
  for (const hook of start) {
    const run = (): Promise<unknown> => runHook(hook, "start", signal);
    await run()
      .catch(run)
      .catch((error: unknown) => failures.push(error));
    if (signal.aborted) break;
  }
  if (failures.length === 0) return;
  const [first] = failures;
  if (failures.length === 1) throw first;
  throw new HoldfastError("hook-failed", failures.map(describeCause).join("; "), {
    cause: first,
    ...(first instanceof HoldfastError && first.hint !== undefined ? { hint: first.hint } : {}),
  });
}

/** A stop that fails most likely finds nothing to stop; the data is put back all the same. */
export async function stopAgain(stop: readonly Hook[], ports: TaskPorts, signal: AbortSignal): Promise<void> {
  for (const hook of stop) {
    await runHook(hook, "stop", signal).catch((error: unknown) => ports.log("warn", `Before the rollback: ${describeCause(error)}`));
  }
}
