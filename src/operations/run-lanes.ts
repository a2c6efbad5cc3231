import { keysConflict, type ConcurrencyKey } from "../base/concurrency-key.ts";
import { HoldfastError } from "../base/errors.ts";

export interface LaneItem {
  /** Undefined when nobody can tell: then it shares a lane with every other. */
  readonly key: ConcurrencyKey | undefined;
}

/**
 * Does the same to several things side by side, at most `lanes` at a time; those whose keys overlap one after the other, in their order.
 * The first failure aborts the others, and all have ended when it is thrown.
 */
export async function runLanes<Item extends LaneItem>(
  items: readonly Item[],
  { lanes, act }: { readonly lanes: number; readonly act: (item: Item, signal: AbortSignal) => Promise<void> },
  signal: AbortSignal,
): Promise<void> {
  const waiting = groupItems(items);
  const failing = new AbortController();
  const failures: unknown[] = [];
  const inner = AbortSignal.any([signal, failing.signal]);
  const runLane = async (): Promise<void> => {
    for (let group = waiting.shift(); group !== undefined; group = waiting.shift())
      for (const item of group) {
        if (inner.aborted) return;
        try {
          await act(item, inner);
        } catch (error) {
          failures.push(error);
          failing.abort(new HoldfastError("cancelled", "Another datastore of the same task failed"));
          return;
        }
      }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, waiting.length) }, runLane));
  signal.throwIfAborted();
  if (failures.length > 0) throw failures[0];
}

/** Whatever overlaps, be it by way of a third one, is in one group. */
function groupItems<Item extends LaneItem>(items: readonly Item[]): Item[][] {
  const groups: Item[][] = [];
  for (const item of items) {
    const touching = groups.filter((group) => group.some((other) => overlaps(item, other)));
    for (const group of touching) groups.splice(groups.indexOf(group), 1);
    const joined = new Set([...touching.flat(), item]);
    groups.push(items.filter((each) => joined.has(each)));
  }
  return groups;
}

function overlaps({ key: one }: LaneItem, { key: other }: LaneItem): boolean {
  return one === undefined || other === undefined || keysConflict(one, other);
}
