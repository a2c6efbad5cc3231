import { HoldfastError } from "../../base/errors.ts";
import { openProgram } from "../../base/subprocess.ts";
import { createCliCommand } from "./cli-connection.ts";
import { describeEndpoint, type Endpoint } from "./endpoint.ts";
import { explainRedisError } from "./explain-error.ts";
import { readRdbHeader } from "./scan-rdb.ts";

/** Closes a transfer whose length the server did not know beforehand; it is no part of the RDB. */
const endMarkBytes = 40;
/** What the server notes at the beginning fits in here many times. */
const headerBytes = 4096;

/**
 * The RDB as a server sends it to a replica, without the mark that ends the transfer.
 * @param askedAtSeconds the server's clock before: a snapshot that somebody else had asked for earlier is refused
 * @throws source-changed for such a snapshot; source-unreadable when the transfer breaks off
 */
export async function* streamReplication(
  endpoint: Endpoint,
  askedAtSeconds: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const said: string[] = [];
  const { program, args, env, cwd } = createCliCommand(endpoint, ["--rdb", "-"]);
  const options = { env, onStderrLine: (line: string) => said.push(line), ...(cwd === undefined ? {} : { cwd }) };
  try {
    await using child = openProgram(program, args, options, signal);
    const start = createStartCheck(askedAtSeconds);
    let held: Buffer = Buffer.alloc(0);
    let bytes = 0;
    for await (const chunk of child.stdout ?? []) {
      const piece = chunk as Buffer;
      bytes += piece.length;
      start.add(piece);
      // The mark may come in two pieces.
      if (piece.length >= endMarkBytes) {
        if (held.length > 0) yield held;
        if (piece.length > endMarkBytes) yield piece.subarray(0, piece.length - endMarkBytes);
        held = Buffer.from(piece.subarray(piece.length - endMarkBytes));
      } else {
        const joined = Buffer.concat([held, piece]);
        const over = Math.max(0, joined.length - endMarkBytes);
        if (over > 0) yield joined.subarray(0, over);
        held = joined.subarray(over);
      }
    }
    await child.finished;
    start.end();
    if (readAnnouncedBytes(said, bytes) === bytes && held.length > 0) yield held;
  } catch (error) {
    throw explainStream(error, endpoint, said);
  }
}

/** How many of the bytes are the RDB, by what `redis-cli` says of it. */
function readAnnouncedBytes(said: readonly string[], bytes: number): number {
  const text = said.join("\n");
  const known = /writing (\d+) bytes/.exec(text)?.[1];
  const ended = /Transfer finished with success after (\d+) bytes/.exec(text)?.[1];
  const announced = known ?? ended;
  if (announced === undefined || !/Transfer finished with success/.test(text))
    throw new HoldfastError("source-unreadable", `redis-cli did not say that the transfer is whole: ${text.slice(-300)}`);
  const whole = known === undefined ? bytes - endMarkBytes : bytes;
  if (Number(announced) !== whole)
    throw new HoldfastError("source-unreadable", `redis-cli says that it got ${announced} bytes, and gave ${whole}`, { retryable: true });
  return whole;
}

interface StartCheck {
  add(piece: Buffer): void;
  /** To be called when all has come: short ones are looked at only now. */
  end(): void;
}

function createStartCheck(askedAtSeconds: number): StartCheck {
  let first: Buffer | undefined = Buffer.alloc(0);
  const check = (): void => {
    if (first === undefined) return;
    const header = readRdbHeader(first);
    first = undefined;
    const madeAtSeconds = Number(header?.get("ctime") ?? Number.NaN);
    if (madeAtSeconds >= askedAtSeconds || Number.isNaN(madeAtSeconds) || Number.isNaN(askedAtSeconds)) return;
    throw new HoldfastError(
      "source-changed",
      `the server sent a snapshot that another replica had asked for ${askedAtSeconds - madeAtSeconds} s before`,
      { hint: "Run it again: the next snapshot will be its own." },
    );
  };
  return {
    add(piece) {
      if (first === undefined) return;
      first = Buffer.concat([first, piece]);
      if (first.length >= headerBytes) check();
    },
    end: check,
  };
}

function explainStream(error: unknown, endpoint: Endpoint, said: readonly string[]): unknown {
  if (!(error instanceof HoldfastError) || error.code !== "tool-failed") return explainRedisError(error, describeEndpoint(endpoint));
  // Its first words are the reason, or why the server refused.
  const reason =
    said.find((line) => /Could not connect|error|failed|NOAUTH|WRONGPASS|NOPERM|LOADING|not running/i.test(line)) ?? said.at(-1);
  const explained = explainRedisError(
    new HoldfastError("tool-failed", reason ?? error.message, { cause: error }),
    describeEndpoint(endpoint),
  );
  if (explained instanceof HoldfastError && explained.code !== "tool-failed") return explained;
  return new HoldfastError("source-unreadable", error.message, {
    cause: error,
    retryable: true,
    hint: "The server's log says why it did not send its data: a failed fork (memory), a stop, a user without `+psync`.",
  });
}
