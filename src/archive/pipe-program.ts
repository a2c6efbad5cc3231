import { once } from "node:events";
import type { Writable } from "node:stream";
import { openProgram } from "../base/subprocess.ts";

/** Feeds a program and yields what it prints; ends normally only if the body ended normally and the program exited with 0. */
export async function* pipeProgram(
  program: string,
  args: readonly string[],
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  await using child = openProgram(program, args, { stdin: "pipe" }, signal);
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) return;
  const feeding = feed(body, stdin);
  // Awaited below; its failure must not count as unhandled meanwhile.
  feeding.catch(() => undefined);
  for await (const chunk of stdout) yield chunk as Uint8Array;
  // The body's own failure says more than the program's complaint about a short input, so it comes first.
  const fed = await feeding;
  await child.finished;
  fed.assertWhole();
}

interface Fed {
  /** Throws when the program closed its input before the body had ended. */
  assertWhole(): void;
}

async function feed(body: AsyncIterable<Uint8Array>, stdin: Writable): Promise<Fed> {
  let broken: Error | undefined;
  stdin.on("error", (error) => {
    broken = error;
  });
  const assertWhole = (): void => {
    if (broken !== undefined) throw broken;
  };
  try {
    for await (const chunk of body) {
      if (broken !== undefined) break;
      if (!stdin.write(chunk)) await Promise.race([once(stdin, "drain"), once(stdin, "close")]);
    }
    stdin.end();
  } catch (error) {
    stdin.destroy();
    throw error;
  }
  return { assertWhole };
}
