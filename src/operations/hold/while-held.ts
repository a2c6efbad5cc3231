import type { TaskPorts } from "../setup.ts";
import { openHold, type HoldOrder } from "./open-hold.ts";

/**
 * Does something while a source stands still, and lets it go on as soon as that is done, or has failed.
 * @param act gets a signal that aborts when the time is over
 * @throws what `act` throws; where that is because the time was over, what says so
 */
export async function whileHeld<T>(
  order: HoldOrder,
  ports: TaskPorts,
  signal: AbortSignal,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<{ readonly value: T; readonly heldMs: number }> {
  await using hold = await openHold(order, ports, signal);
  let value: T;
  try {
    value = await act(hold.signal);
  } catch (error) {
    if (hold.signal.aborted && !signal.aborted) await hold.release();
    throw error;
  }
  const { heldMs } = await hold.release();
  return { value, heldMs: Math.round(heldMs) };
}
