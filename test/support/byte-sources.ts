import { randomBytes } from "node:crypto";
import type { ByteSource } from "../../src/base/byte-source.ts";

export function createStream(body: Uint8Array, chunkBytes = 50_000): ByteSource {
  return { kind: "stream", open: () => yieldBytes(body, chunkBytes) };
}

export async function* yieldBytes(body: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < body.length; at += chunkBytes) yield await Promise.resolve(body.subarray(at, at + chunkBytes));
}

let open = 0;

/** How many of them are at work. */
export function countOpen(): number {
  return open;
}

export function createFailing(after: number): ByteSource {
  return {
    kind: "stream",
    open: async function* fail() {
      for (let bytes = 0; bytes < after; bytes += 10_000) yield await Promise.resolve(randomBytes(Math.min(10_000, after - bytes)));
      throw new Error("the source broke");
    },
  };
}

export const stalling = new WeakSet<ByteSource>();

/** Gives some bytes, then nothing until its signal is aborted. */
export function createStalling(after: number): ByteSource {
  const source: ByteSource = {
    kind: "stream",
    open: async function* stall(signal) {
      open += 1;
      try {
        if (after > 0) yield randomBytes(after);
        await new Promise((_, reject) => {
          const fail = (): void => reject(new Error("aborted"));
          if (signal.aborted) fail();
          else signal.addEventListener("abort", fail, { once: true });
        });
      } finally {
        open -= 1;
      }
    },
  };
  stalling.add(source);
  return source;
}

export function createEndless(): ByteSource {
  return {
    kind: "stream",
    open: async function* go(signal) {
      open += 1;
      try {
        for (;;) {
          if (signal.aborted) throw new Error("aborted");
          yield await new Promise<Uint8Array>((resolve) => setImmediate(() => resolve(randomBytes(30_000))));
        }
      } finally {
        open -= 1;
      }
    },
  };
}
