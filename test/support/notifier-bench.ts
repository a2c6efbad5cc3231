import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, watch } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { Secret } from "../../src/base/secret.ts";
import type { Channel } from "../../src/telemetry/channel.ts";
import type { Notification } from "../../src/telemetry/notification.ts";
import type { Log } from "../../src/telemetry/open-log.ts";
import { openNotifier, type Notifier } from "../../src/telemetry/open-notifier.ts";

export const soon = AbortSignal.timeout(60_000);

/** Of a failed backup. */
export function createEvent(extra: Partial<Notification> = {}): Notification {
  return {
    at: new Date().toISOString(),
    host: "duck",
    job: "nightly",
    kind: "failure",
    title: "Backup of nightly failed",
    text: "No space\nleft",
    details: {},
    ...extra,
  };
}

interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** A real server whose answers are a list; the last one repeats. */
export class Server implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #server = createServer((request, response) => void this.#take(request, response));
  answer: (response: ServerResponse, count: number) => void = (response) => response.end("ok");

  async listen(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async receive(count: number): Promise<readonly Received[]> {
    while (this.received.length < count) await new Promise<void>((resolve) => this.#waiting.add(resolve));
    return this.received;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    this.received.push({
      method: request.method ?? "",
      path: request.url ?? "",
      headers: request.headers,
      body: Buffer.concat(parts).toString(),
    });
    this.answer(response, this.received.length);
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

/** A notifier in a directory of its own, and all that it logs. */
export class Bench implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "notify-"));
  readonly lines: string[] = [];
  readonly #watchers = new Set<() => void>();
  notifier: Notifier | undefined;

  get outbox(): string {
    return join(this.directory, "outbox");
  }

  readonly log: Log = {
    debug: () => undefined,
    info: (message, details) => this.#keep("info", message, details),
    warn: (message, details) => this.#keep("warn", message, details),
    error: (message, details) => this.#keep("error", message, details),
    child: () => this.log,
  };

  async open(channels: readonly Channel[], retryDelaysMs: readonly number[] = [5]): Promise<Notifier> {
    // Commands as processes, wherever the tests run; test/systemd has them as units.
    process.env["HOLDFAST_HOOKS"] = "direct";
    const map = new Map(channels.map((channel) => [channel.name, channel]));
    this.notifier = await openNotifier({
      channels: map,
      log: this.log,
      clock: systemClock,
      outboxDir: this.outbox,
      host: "duck",
      retryDelaysMs,
    });
    return this.notifier;
  }

  async close(): Promise<void> {
    await this.notifier?.[Symbol.asyncDispose]();
    this.notifier = undefined;
  }

  /** Waits until a line of the log fits. */
  async logged(pattern: RegExp): Promise<void> {
    while (!this.lines.some((line) => pattern.test(line))) await new Promise<void>((resolve) => this.#watchers.add(resolve));
  }

  stored(): readonly string[] {
    return existsSync(this.outbox) ? readdirSync(this.outbox) : [];
  }

  #keep(level: string, message: string, details: unknown): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(details)}`);
    for (const wake of this.#watchers) wake();
    this.#watchers.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    rmSync(this.directory, { recursive: true });
  }
}

export function createWebhook(url: string, extra: Partial<Channel & { kind: "webhook" }> = {}): Channel {
  return { name: "ops", kind: "webhook", url: new Secret(url), headers: {}, on: ["failure", "recovery"], timeoutMs: 5_000, ...extra };
}

export function createCommand(command: readonly string[], extra: Partial<Channel & { kind: "command" }> = {}): Channel {
  return { name: "mail", kind: "command", command, on: ["failure"], timeoutMs: 20_000, ...extra };
}

/** Nobody listens there: a port that was just given back. */
export async function findRefusingUrl(): Promise<string> {
  await using server = await new Server().listen();
  return server.url;
}

/** Resolves when a file appears in the directory. */
export async function appear(directory: string, name: string): Promise<string> {
  const path = join(directory, name);
  using stack = new DisposableStack();
  const watcher = stack.adopt(watch(directory), (each) => each.close());
  while (!existsSync(path)) await once(watcher, "change", { signal: soon });
  return readFileSync(path, "utf8");
}
