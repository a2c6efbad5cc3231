import { request } from "node:http";
import { HoldfastError, readErrno, reviveError, type ErrorReport } from "../base/errors.ts";

export interface ClientRequest {
  readonly method: "GET" | "POST" | "DELETE";
  /** Below /v1, with its query. */
  readonly path: string;
  readonly body?: unknown;
  readonly idempotencyKey?: string;
}

/** The one client of the control socket. */
export class ControlClient {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** @throws daemon-unreachable, or what the daemon answered */
  async send<Answer>(asked: ClientRequest, signal: AbortSignal): Promise<Answer> {
    let text = "";
    for await (const chunk of await this.#open(asked, signal)) text += chunk;
    return JSON.parse(text) as Answer;
  }

  /** The lines of a streamed answer. */
  async *stream<Line>(asked: ClientRequest, signal: AbortSignal): AsyncGenerator<Line, void, undefined> {
    let rest = "";
    for await (const chunk of await this.#open(asked, signal)) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        // A sign of life.
        if (line === "") continue;
        const value = JSON.parse(line) as Line;
        if (isFailure(value)) throw reviveError(value.error);
        yield value;
      }
    }
  }

  async #open(asked: ClientRequest, signal: AbortSignal): Promise<AsyncIterable<string>> {
    const body = asked.body === undefined ? undefined : JSON.stringify(asked.body);
    const response = await new Promise<import("node:http").IncomingMessage>((resolve, reject) => {
      const sent = request(
        {
          socketPath: this.#socketPath,
          method: asked.method,
          path: `/v1${asked.path}`,
          signal,
          headers: {
            host: "localhost",
            ...(body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
            ...(asked.idempotencyKey === undefined ? {} : { "idempotency-key": asked.idempotencyKey }),
          },
        },
        resolve,
      );
      sent.once("error", (error) => reject(this.#explain(error)));
      sent.end(body);
    });
    response.setEncoding("utf8");
    if ((response.statusCode ?? 500) < 400) return response;
    let text = "";
    for await (const chunk of response) text += String(chunk);
    throw reviveAnswer(text, response.statusCode ?? 500);
  }

  #explain(error: Error): Error {
    const errno = readErrno(error);
    if (errno === "EACCES") {
      return new HoldfastError("forbidden", `You may not use the control socket ${this.#socketPath}`, {
        hint: "Run it as root or as a member of the group holdfast.",
        cause: error,
      });
    }
    if (errno === "ENOENT" || errno === "ECONNREFUSED" || errno === "ECONNRESET" || errno === "EPIPE") {
      return new HoldfastError("daemon-unreachable", `No daemon answers on ${this.#socketPath}`, {
        hint: "`systemctl start holdfast` starts it; `--offline` works without one where a verb has it.",
        cause: error,
      });
    }
    return error;
  }
}

function isFailure(value: unknown): value is { readonly error: ErrorReport } {
  return typeof value === "object" && value !== null && "error" in value && !("ended" in value);
}

function reviveAnswer(text: string, status: number): HoldfastError {
  try {
    const value: unknown = JSON.parse(text);
    if (isFailure(value)) return reviveError(value.error);
  } catch {
    // Not ours: told below.
  }
  return new HoldfastError("daemon-unreachable", `The control socket answered ${status} and nothing that can be understood`);
}
