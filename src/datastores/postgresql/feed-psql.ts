import { randomBytes } from "node:crypto";
import type { Readable } from "node:stream";
import { HoldfastError } from "../../base/errors.ts";
import { feedBytes } from "../../base/feed-bytes.ts";
import { openProgram } from "../../base/subprocess.ts";
import { prepareTool, type Access } from "./connection.ts";

/** What psql prints, as far as it is of interest. */
export interface PsqlOutput {
  /** False when psql has ended without having printed it. */
  await(mark: string): Promise<boolean>;
  /** Among the last that was printed. */
  has(mark: string): boolean;
}

/**
 * Has psql run a script, which ends at the first error. Where the script's source fails psql gets no more, and what is not committed is
 * gone. Throws what psql says.
 */
export async function feedPsql(
  access: Access,
  psql: string,
  write: (output: PsqlOutput) => AsyncIterable<Uint8Array | string>,
  signal: AbortSignal,
): Promise<void> {
  const args = ["--no-psqlrc", "--no-password", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"];
  const tool = prepareTool(access, psql, args);
  await using program = openProgram(tool.program, tool.args, { ...tool.options, stdin: "pipe" }, signal);
  const { stdin, stdout } = program;
  if (stdin === null || stdout === null) throw new HoldfastError("internal", "psql has no standard input or output");
  const output = new EndReader(stdout);
  const done = createMark();
  async function* writeAll(): AsyncGenerator<Uint8Array | string, void, undefined> {
    yield* write(output);
    yield `\\echo ${done}\n`;
  }
  // It may end before it has read everything; why it did is told by its own end.
  await feedBytes(writeAll(), stdin);
  await program.finished;
  if (!output.has(done)) throw new HoldfastError("restore-failed", "psql ended before it came to the end of the dump");
}

/** What nothing else prints. */
export const createMark = (): string => randomBytes(16).toString("hex");

const keptChars = 4_000;

class EndReader implements PsqlOutput {
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

  has(mark: string): boolean {
    return this.#kept.includes(mark);
  }

  async await(mark: string): Promise<boolean> {
    while (!this.has(mark) && !this.#hasEnded) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.has(mark);
  }
}
