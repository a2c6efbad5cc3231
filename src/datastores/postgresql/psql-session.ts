import { randomBytes } from "node:crypto";
import type { Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError } from "../../base/errors.ts";
import { openProgram, type RunningProgram } from "../../base/subprocess.ts";
import { classifyError, createClassified } from "./classify-error.ts";
import { prepareTool, type Access } from "./connection.ts";
import { quoteLiteral } from "./quote-sql.ts";
import type { Row, SqlSession } from "./sql-session.ts";

/**
 * A session of psql, which is told one statement at a time on its standard input. After each it echoes a mark that nobody can guess, with
 * the SQLSTATE; what stands before the mark is the statement's output.
 */
export async function openPsqlSession(access: Access, psql: string, signal: AbortSignal): Promise<SqlSession> {
  const token = randomBytes(16).toString("hex");
  const { program, args, options } = prepareTool(access, psql, [
    "--no-psqlrc",
    "--no-password",
    "--quiet",
    "--no-align",
    "--field-separator-zero",
    `--record-separator=${token}R\n`,
    `--pset=null=${token}N`,
    "--pset=footer=off",
    "--variable=VERBOSITY=default",
    "--variable=ON_ERROR_STOP=0",
  ]);
  const complaints: string[] = [];
  const onStderrLine = (line: string): void => {
    complaints.push(line);
  };
  const running = openProgram(program, args, { ...options, stdin: "pipe", onStderrLine }, signal);
  const { stdin, stdout } = running;
  if (stdin === null || stdout === null) throw new HoldfastError("internal", "psql has no standard input or output");
  stdin.on("error", () => undefined);
  const session = new PsqlSession({ running, stdin, stdout, token, complaints });
  try {
    // Fails here when there is no connection: psql has ended.
    await session.query("SELECT 1");
    return session;
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
}

interface Channel {
  readonly running: RunningProgram;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly token: string;
  /** Lines of its standard error since the last statement. */
  readonly complaints: string[];
}

const complaintTimeoutMs = 2_000;

class PsqlSession implements SqlSession {
  readonly #channel: Channel;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #mark: Buffer;
  #rest: Buffer = Buffer.alloc(0);
  #left = false;

  constructor(channel: Channel) {
    this.#channel = channel;
    this.#chunks = (channel.stdout as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
    this.#mark = Buffer.from(`${channel.token}M`);
  }

  async query(sql: string, params: readonly (string | null)[] = []): Promise<readonly Row[]> {
    this.#send(fillIn(sql, params));
    const output: Buffer[] = [];
    for await (const chunk of this.#readOutput()) output.push(chunk);
    return parseRows(Buffer.concat(output).toString("utf8"), this.#channel.token);
  }

  async *copyOut(sql: string): AsyncGenerator<Uint8Array, void, undefined> {
    this.#send(sql);
    yield* this.#readOutput();
  }

  #send(sql: string): void {
    if (this.#left) throw new HoldfastError("internal", "A stream of this session was left early");
    const { stdin, token, complaints } = this.#channel;
    complaints.length = 0;
    // A COPY that fails after it has begun sets no SQLSTATE: only one that succeeds does.
    stdin.write(`\\set SQLSTATE none\n${sql}\n;\n\\echo ${token}M :SQLSTATE :'LAST_ERROR_MESSAGE'\n\\echo ${token}E\n`);
  }

  /** What comes before the mark. Throws the statement's error, and the reason why psql ended when it has. */
  async *#readOutput(): AsyncGenerator<Buffer, void, undefined> {
    this.#left = true;
    for (;;) {
      const at = this.#rest.indexOf(this.#mark);
      if (at !== -1) {
        const output = this.#rest.subarray(0, at);
        this.#rest = this.#rest.subarray(at);
        if (output.length > 0) yield output;
        await this.#readMark();
        return;
      }
      // A mark may be cut by the end of a chunk.
      const safe = this.#rest.length - this.#mark.length;
      if (safe > 0) {
        const output = this.#rest.subarray(0, safe);
        this.#rest = this.#rest.subarray(safe);
        yield output;
      }
      await this.#readMore();
    }
  }

  async #readMark(): Promise<void> {
    const end = Buffer.from(`\n${this.#channel.token}E\n`);
    let at = this.#rest.indexOf(end);
    for (; at === -1; at = this.#rest.indexOf(end)) await this.#readMore();
    const text = this.#rest.subarray(this.#mark.length + 1, at).toString("utf8");
    this.#rest = this.#rest.subarray(at + end.length);
    this.#left = false;
    const [state = "none"] = text.split(" ", 1);
    if (state === "00000") return;
    const message = /^[0-9A-Z]{5}$/.test(state) ? text.slice(state.length + 2, -1).replaceAll("''", "'") : await this.#readComplaint();
    throw createClassified(state, message, message) ?? new HoldfastError("tool-failed", message, { details: { state } });
  }

  /** What psql said on its standard error, which comes by another way than the mark. */
  async #readComplaint(): Promise<string> {
    const deadlineMs = performance.now() + complaintTimeoutMs;
    while (this.#channel.complaints.length === 0 && performance.now() < deadlineMs) await delay(10);
    return this.#channel.complaints.slice(0, 3).join("; ") || "the statement failed, and psql does not say why";
  }

  async #readMore(): Promise<void> {
    const next = await this.#chunks.next();
    if (next.done !== true) {
      this.#rest = this.#rest.length === 0 ? next.value : Buffer.concat([this.#rest, next.value]);
      return;
    }
    await this.#channel.running.finished.catch((error: unknown) => {
      throw classifyError(error);
    });
    throw new HoldfastError("source-unreachable", "psql ended before the statement did");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#channel.stdin.end(this.#left ? undefined : "\\q\n");
    // What nobody reads would keep the program from being over, however it ends.
    if (this.#left) this.#channel.stdout.destroy();
    else {
      this.#channel.stdout.resume();
      await this.#channel.running.finished.catch(() => undefined);
    }
    await this.#channel.running[Symbol.asyncDispose]();
  }
}

function fillIn(sql: string, params: readonly (string | null)[]): string {
  if (params.length === 0) return sql;
  return sql.replaceAll(/\$(\d+)/g, (_, number: string) => {
    const value = params[Number(number) - 1];
    return value === undefined || value === null ? "NULL" : quoteLiteral(value);
  });
}

/** The first record has the column names. A statement without rows has no output. */
function parseRows(output: string, token: string): readonly Row[] {
  const [header, ...records] = output.split(`${token}R\n`);
  if (header === undefined || header === "") return [];
  const names = header.split("\0");
  const last = records.at(-1)?.replace(/\n$/, "");
  return [...records.slice(0, -1), ...(last === undefined ? [] : [last])].map((record) => {
    const values = record.split("\0");
    return Object.fromEntries(names.map((name, at) => [name, values[at] === `${token}N` ? null : (values[at] ?? null)]));
  });
}
