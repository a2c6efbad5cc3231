import { describeCause } from "../base/errors.ts";
import type { TaskPorts } from "./setup.ts";

/** Closes what an operation had open once its outcome stands: a cleaning up that fails then must not make a success look like a failure. */
export async function closeAfterSuccess(resources: AsyncDisposableStack, ports: TaskPorts): Promise<void> {
  try {
    await resources.disposeAsync();
  } catch (error) {
    ports.log("warn", `Not everything that was staged could be removed; the next start sweeps it: ${describeCause(error)}`);
  }
}
