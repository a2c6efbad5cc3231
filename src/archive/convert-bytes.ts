import type { Readable, Transform, Writable } from "node:stream";
import { HoldfastError } from "../base/errors.ts";
import { feedBytes } from "../base/feed-bytes.ts";
import { createAbortError, openProgram } from "../base/subprocess.ts";

/** Bytes that are produced while they are read. The signal stops what produces them. */
export type OpenBody = (signal: AbortSignal) => AsyncIterable<Uint8Array>;

const gatheredBytes = 1 << 18;

/** Takes bytes and gives others. Closing ends it at once. */
interface Converter extends AsyncDisposable {
  readonly name: string;
  readonly input: Writable;
  readonly output: Readable;
  /** Rejects when the conversion failed. */
  readonly finished: Promise<unknown>;
}

/**
 * Feeds a program and yields what it prints. Ends normally only if the body ended normally, all of it was taken and the program exited
 * with 0. Of several failures the body's own is thrown: the program's complaint about a short input says less. Ending the iteration early
 * ends the program and the body; when it returns neither goes on.
 */
export async function* pipeProgram(
  program: string,
  args: readonly string[],
  body: OpenBody,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (signal.aborted) throw createAbortError(signal, `${program} was stopped`);
  const child = openProgram(program, args, { stdin: "pipe" }, signal);
  const { stdin, stdout, finished } = child;
  if (stdin === null || stdout === null) throw new HoldfastError("internal", `Bug: ${program} has no pipes`);
  yield* convertBytes(
    { name: program, input: stdin, output: stdout, finished, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() },
    body,
    signal,
  );
}

/** The same through a stream of node:zlib. */
export async function* pipeTransform(
  name: string,
  transform: Transform,
  body: OpenBody,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const failed = new Promise<void>((resolve, reject) => {
    transform.once("error", reject).once("close", resolve);
  });
  failed.catch(() => undefined);
  const close = (): Promise<void> => {
    transform.destroy();
    return Promise.resolve();
  };
  yield* convertBytes(
    { name, input: transform, output: transform, finished: failed, [Symbol.asyncDispose]: close },
    (inner) => gatherChunks(body(inner)),
    signal,
  );
}

async function* convertBytes(converter: Converter, open: OpenBody, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  await using running = converter;
  const { name, input, output, finished } = running;
  const ending = new AbortController();
  let bodyFailure: { readonly error: unknown } | undefined;
  const feeding = feedBytes(open(AbortSignal.any([signal, ending.signal])), input).catch((error: unknown) => {
    if (!ending.signal.aborted) bodyFailure = { error };
    input.destroy();
    return "failed" as const;
  });
  try {
    const failure = yield* drainOutput(output, finished);
    // A converter that is gone takes no more input: a body that waits for its source is not waited for.
    if (failure !== undefined) ending.abort();
    const fed = await feeding;
    if (signal.aborted) throw createAbortError(signal, `${name} was stopped`);
    if (bodyFailure !== undefined) throw bodyFailure.error;
    if (failure !== undefined) throw failure.error;
    if (fed !== "whole") throw new HoldfastError("tool-failed", `${name} ended before it had read all of its input`);
  } finally {
    ending.abort();
    input.destroy();
    await feeding;
  }
}

async function* drainOutput(
  output: Readable,
  finished: Promise<unknown>,
): AsyncGenerator<Uint8Array, { readonly error: unknown } | undefined, undefined> {
  try {
    for await (const chunk of output) yield chunk as Uint8Array;
    await finished;
    return undefined;
  } catch (error) {
    // The program's own end says more than the premature end of its output.
    return await finished.then(
      () => ({ error }),
      (reason: unknown) => ({ error: reason }),
    );
  }
}

/** The same bytes in pieces of at least `gatheredBytes`, the last one aside: what is done with each piece costs more than its copy. */
async function* gatherChunks(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let waiting: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    waiting.push(chunk);
    bytes += chunk.length;
    if (bytes < gatheredBytes) continue;
    yield waiting.length === 1 ? chunk : Buffer.concat(waiting, bytes);
    waiting = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(waiting, bytes);
}
