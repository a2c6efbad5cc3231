import type { Core } from "./core.ts";
import { payloadSchema, type PayloadOf } from "./payload.ts";

/** Tells of a backup whether a task that waits or runs is to remove it, for one of these reasons. */
export function listPendingRemovals(
  core: Core,
  whys: readonly PayloadOf<"remove">["why"][],
): (backup: { readonly destination: string; readonly id: string }) => boolean {
  const pending = new Set<string>();
  for (const { payload } of core.queue.list({ states: ["waiting", "running", "recovering"], kind: "remove" })) {
    const parsed = payloadSchema.safeParse(payload);
    if (!parsed.success || parsed.data.operation !== "remove" || !whys.includes(parsed.data.why)) continue;
    for (const { id } of parsed.data.removals) pending.add(`${parsed.data.destination}/${id}`);
  }
  return ({ destination, id }) => pending.has(`${destination}/${id}`);
}
