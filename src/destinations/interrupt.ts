import { HoldfastError } from "../base/errors.ts";

/** Throws the signal's reason, or `cancelled`, when it is aborted. */
export function assertNotAborted(signal: AbortSignal): void {
  if (!signal.aborted) return;
  const reason: unknown = signal.reason;
  throw reason instanceof HoldfastError ? reason : new HoldfastError("cancelled", "The operation was cancelled", { cause: reason });
}

/** Passes a body on until the signal is aborted, then throws even if the body neither listens to the signal nor yields again. */
export async function* untilAborted<Item>(body: AsyncIterable<Item>, signal: AbortSignal): AsyncGenerator<Item, void, undefined> {
  assertNotAborted(signal);
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => undefined);
  const onAbort = (): void => {
    try {
      assertNotAborted(signal);
    } catch (error) {
      aborted.reject(error);
    }
  };
  signal.addEventListener("abort", onAbort, { once: true });
  const iterator = body[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      const step = await Promise.race([iterator.next(), aborted.promise]);
      if (step.done === true) {
        ended = true;
        return;
      }
      yield step.value;
    }
  } catch (error) {
    ended = !signal.aborted;
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
    // A body that hangs would never answer: it is told, not waited for.
    if (!ended) {
      const closing = iterator.return?.();
      if (signal.aborted) closing?.catch(() => undefined);
      else await closing;
    }
  }
}
