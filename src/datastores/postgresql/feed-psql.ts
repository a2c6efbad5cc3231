import { randomBytes } from "node:crypto";
import type { Readable } from "node:stream";
import { HoldfastError } from "../../base/errors.ts";
import { feedBytes } from "../../base/feed-bytes.ts";
import { openProgram } from "../../base/subprocess.ts";
import { prepareTool, type Access } from "./connection.ts";

/**
 * To be handed on to psql between two statements: comes to its end when psql has done all that stood before; returns false where psql has
 * ended instead.
 */
export type Reach = () => AsyncGenerator<string, boolean, undefined>;

/**
 * Has psql run a script, which ends at the first error. Where the script's source fails psql gets no more, and what is not committed is
 * gone. Throws what psql says.
 */
export async function feedPsql(
  access: Access,
  psql: string,
  write: (reach: Reach) => AsyncIterable<Uint8Array | string>,
  signal: AbortSignal,
): Promise<void> {
  const args = ["--no-psqlrc", "--no-password", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"];
  const tool = prepareTool(access, psql, args);
  await using program = openProgram(tool.program, tool.args, { ...tool.options, stdin: "pipe" }, signal);
  const { stdin, stdout } = program;
  if (stdin === null || stdout === null) throw new HoldfastError("internal", "psql has no standard input or output");
  const output = new MarkReader(stdout);
  const done = createMark();
  // By a statement: what runs what it may not trust takes no commands.
  async function* reach(): AsyncGenerator<string, boolean, undefined> {
    const mark = createMark();
    yield `SELECT '${mark}';\n`;
    return await output.await(mark);
  }
  async function* writeAll(): AsyncGenerator<Uint8Array | string, void, undefined> {
    yield* write(reach);
    yield `\\echo ${done}\n`;
  }
  // It may end before it has read everything; why it did is told by its own end.
  await feedBytes(writeAll(), stdin);
  await program.finished;
  if (!output.endsWith(done)) throw new HoldfastError("restore-failed", "psql ended before it came to the end of the dump");
}

const createMark = (): string => randomBytes(16).toString("hex");
const keptChars = 200;

/** The end of what a program prints, in which marks are looked for. */
class MarkReader {
  #kept = "";
  #hasEnded = false;
  #wake = (): void => undefined;

  constructor(stdout: Readable) {
    stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#kept = (this.#kept + text).slice(-keptChars);
      this.#wake();
    });
    stdout.on("close", () => {
      this.#hasEnded = true;
      this.#wake();
    });
  }

  endsWith(mark: string): boolean {
    return this.#kept.trimEnd().endsWith(mark);
  }

  /** False when the program's output has ended without it. */
  async await(mark: string): Promise<boolean> {
    while (!this.endsWith(mark) && !this.#hasEnded) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.endsWith(mark);
  }
}
