import type { Writable } from "node:stream";

/** How much of a body waits for what takes it. */
const aheadBytes = 1 << 20;

/**
 * Writes a body into a stream and ends it; `cut` when the stream takes no more. What the body throws comes out, the stream is left as it is.
 * The body is read ahead, so that what makes it and what takes it work at the same time: its pieces must not change afterwards.
 */
export async function feedBytes(body: AsyncIterable<Uint8Array | string>, input: Writable): Promise<"whole" | "cut"> {
  const taking = { isFull: false, wake: (): void => undefined };
  for (const event of ["drain", "close", "error"]) {
    input.on(event, () => {
      taking.isFull = false;
      taking.wake();
    });
  }
  for await (const chunk of body) {
    if (!input.writable) return "cut";
    taking.isFull = !input.write(chunk, () => taking.wake());
    while (taking.isFull && input.writable && input.writableLength >= aheadBytes) {
      await new Promise<void>((resolve) => {
        taking.wake = resolve;
      });
    }
    // Before it is asked for more: what it would say then is of no interest.
    if (!input.writable) return "cut";
  }
  if (!input.writable) return "cut";
  input.end();
  return "whole";
}
