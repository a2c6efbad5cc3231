import type { Restore } from "../catalog/contract.ts";
import type { Core } from "./core.ts";
import { parsePayload } from "./payload.ts";

/** Which restore this one undoes, as its task says. */
export function findUndone(core: Core, { runId }: Pick<Restore, "runId">): string | undefined {
  const task = core.queue.get(runId);
  const payload = task === undefined ? undefined : parsePayload(task.payload);
  return payload?.operation === "restore" ? (payload.undoes ?? undefined) : undefined;
}
