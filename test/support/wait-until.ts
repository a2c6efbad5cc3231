import { setTimeout as delay } from "node:timers/promises";

interface Patience {
  readonly withinMs?: number;
  readonly pollMs?: number;
}

/**
 * For what has no event: the process table, the file system, what a server says of itself. Gives what `look` finds, which is neither undefined
 * nor false. Throws, with `what` in its words, when it has not come in time.
 */
export async function waitUntil<Value>(
  what: string,
  look: () => Value | undefined | false | Promise<Value | undefined | false>,
  { withinMs = 30_000, pollMs = 20 }: Patience = {},
): Promise<Value> {
  for (const endAt = performance.now() + withinMs; performance.now() < endAt; await delay(pollMs)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
  }
  throw new Error(`It never came: ${what}`);
}
