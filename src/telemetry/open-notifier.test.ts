import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, watch, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import { runOrThrow } from "../../test/support/local-place.ts";
import type { Channel } from "./channel.ts";
import type { Notification } from "./notification.ts";
import type { Log } from "./open-log.ts";
import { openNotifier, type Notifier } from "./open-notifier.ts";

const soon = AbortSignal.timeout(60_000);

function createEvent(extra: Partial<Notification> = {}): Notification {
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
class Server implements AsyncDisposable {
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
class Bench implements AsyncDisposable {
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

function createWebhook(url: string, extra: Partial<Channel & { kind: "webhook" }> = {}): Channel {
  return { name: "ops", kind: "webhook", url: new Secret(url), headers: {}, on: ["failure", "recovery"], timeoutMs: 5_000, ...extra };
}

function createCommand(command: readonly string[], extra: Partial<Channel & { kind: "command" }> = {}): Channel {
  return { name: "mail", kind: "command", command, on: ["failure"], timeoutMs: 20_000, ...extra };
}

/** Nobody listens there: a port that was just given back. */
const refusingUrl = await (async () => {
  await using server = await new Server().listen();
  return server.url;
})();

// Commands as processes, wherever the tests run; test/systemd has them as units.
process.env["HOLDFAST_HOOKS"] = "direct";

function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}/stat`) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
}

/** Resolves when a file appears in the directory. */
async function appear(directory: string, name: string): Promise<string> {
  const path = join(directory, name);
  using stack = new DisposableStack();
  const watcher = stack.adopt(watch(directory), (each) => each.close());
  while (!existsSync(path)) await once(watcher, "change", { signal: soon });
  return readFileSync(path, "utf8");
}

test("G7: a webhook gets the event as JSON with its headers, only of the kinds that it wants", async () => {
  await using server = await new Server().listen();
  await using bench = new Bench();
  const notifier = await bench.open([createWebhook(`${server.url}/hook?x=1`, { headers: { "X-Key": new Secret("canary") } })]);
  notifier.tell(createEvent({ kind: "success" }), ["ops"]);
  notifier.tell(createEvent({ runId: "r1", details: { bytes: 5 } }), ["ops", "ops"]);
  notifier.tell(createEvent({ kind: "recovery" }), ["ops"]);
  const [first, second] = await server.receive(2);
  await bench.close();
  assert.equal(server.received.length, 2);
  assert.equal(first?.method, "POST");
  assert.equal(first.path, "/hook?x=1");
  assert.equal(first.headers["x-key"], "canary");
  assert.equal(first.headers["content-type"], "application/json");
  const { id, at, ...event } = JSON.parse(first.body) as Record<string, unknown>;
  assert.match(String(id), /^[0-9a-z]{20}$/);
  assert.ok(!Number.isNaN(Date.parse(String(at))));
  assert.deepEqual(event, {
    host: "duck",
    job: "nightly",
    kind: "failure",
    title: "Backup of nightly failed",
    text: "No space\nleft",
    runId: "r1",
    details: { bytes: 5 },
  });
  assert.equal((JSON.parse(second?.body ?? "") as Notification).kind, "recovery");
  assert.deepEqual(bench.stored(), []);
});

test("G7: a server that fails is asked again until it answers; the log tells the change of state once each way", async () => {
  await using server = await new Server().listen();
  server.answer = (response, count) => response.writeHead(count < 4 ? 500 : 200).end();
  await using bench = new Bench();
  const notifier = await bench.open([createWebhook(server.url)]);
  notifier.tell(createEvent(), ["ops"]);
  await bench.logged(/works again/);
  assert.equal(server.received.length, 4);
  assert.equal(new Set(server.received.map(({ body }) => body)).size, 1, "the same id each time");
  assert.deepEqual(
    bench.lines.map((line) => line.split(" ")[0]),
    ["warn", "info"],
  );
  assert.match(bench.lines[0] ?? "", /"ops" fails: it answered with HTTP status 500/);
  const [state] = notifier.state();
  assert.equal(state?.undelivered, 0);
  assert.equal(state.error, undefined);
  assert.ok(state.lastErrorAt !== undefined && state.lastSuccessAt !== undefined);
});

test("a server that hangs is given up at the time limit, and telling does not wait for it", async () => {
  await using server = await new Server().listen();
  server.answer = (response, count) => {
    if (count > 1) response.end();
  };
  await using bench = new Bench();
  const notifier = await bench.open([createWebhook(server.url, { timeoutMs: 50 })]);
  notifier.tell(createEvent(), ["ops"]);
  assert.equal(server.received.length, 0);
  await bench.logged(/no answer within 50 ms/);
  await bench.logged(/works again/);
});

test("a redirect is not followed, and a refused message is given up", async () => {
  await using server = await new Server().listen();
  server.answer = (response, count) => response.writeHead([302, 422][count - 1] ?? 200, { location: `${server.url}/elsewhere` }).end();
  await using bench = new Bench();
  const notifier = await bench.open([createWebhook(server.url)]);
  notifier.tell(createEvent(), ["ops"]);
  await bench.logged(/given up: it answered with HTTP status 422/);
  assert.match(bench.lines[0] ?? "", /redirect \(302\), which is not followed/);
  notifier.tell(createEvent(), ["ops"]);
  await bench.logged(/works again/);
  assert.ok(server.received.every(({ path }) => path === "/"));
  assert.equal(notifier.state()[0]?.dropped, 1);
});

test("G7: what is undelivered survives a restart, in files that only the owner reads", async () => {
  await using server = await new Server().listen();
  await using bench = new Bench();
  const refusing = createWebhook(refusingUrl);
  (await bench.open([refusing])).tell(createEvent({ title: "first" }), ["ops"]);
  bench.notifier?.tell(createEvent({ title: "second" }), ["ops"]);
  await bench.logged(/ECONNREFUSED/);
  await bench.close();
  assert.equal(bench.stored().length, 2);
  assert.equal(statSync(bench.outbox).mode & 0o777, 0o700);
  for (const name of bench.stored()) assert.equal(statSync(join(bench.outbox, name)).mode & 0o777, 0o600);
  writeFileSync(join(bench.outbox, ".half.json.1.tmp"), "{");
  writeFileSync(join(bench.outbox, "bad.json"), "{}");
  await bench.open([createWebhook(server.url)]);
  const received = await server.receive(2);
  await bench.close();
  assert.deepEqual(
    received.map(({ body }) => (JSON.parse(body) as Notification).title),
    ["first", "second"],
  );
  assert.deepEqual(bench.stored(), []);
});

test("F15: with no space for the outbox a message is sent all the same", async () => {
  await using server = await new Server().listen();
  await using bench = new Bench();
  mkdirSync(bench.outbox);
  runOrThrow("mount", ["-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "tmpfs", bench.outbox]);
  try {
    writeFileSync(join(bench.outbox, "ballast"), "");
    chmodSync(join(bench.outbox, "ballast"), 0o600);
    const notifier = await bench.open([createWebhook(server.url)]);
    runOrThrow("mount", ["-o", "remount,ro", bench.outbox]);
    notifier.tell(createEvent(), ["ops"]);
    await server.receive(1);
    await bench.logged(/cannot be stored/);
    await bench.close();
  } finally {
    runOrThrow("umount", [bench.outbox]);
  }
});

test("F15: an outbox that cannot even be opened leaves the notifier working", async () => {
  await using server = await new Server().listen();
  await using bench = new Bench();
  writeFileSync(bench.outbox, "a file in its place");
  const notifier = await bench.open([createWebhook(server.url)]);
  notifier.tell(createEvent(), ["ops"]);
  await server.receive(1);
  assert.match(bench.lines[0] ?? "", /wait in memory alone/);
  await bench.close();
});

test("G7: a dead man's switch is told start, success and failure, keeps its query, and only wants the latest", async () => {
  await using server = await new Server().listen();
  await using bench = new Bench();
  const ping: Channel = { name: "pulse", kind: "ping", url: new Secret(`${server.url}/uuid?key=1`), timeoutMs: 5_000 };
  const notifier = await bench.open([ping]);
  const tellAndWait = async (kind: Notification["kind"], count: number): Promise<void> => {
    notifier.tell(createEvent({ kind }), ["pulse"]);
    await server.receive(count);
  };
  await tellAndWait("start", 1);
  await tellAndWait("success", 2);
  await tellAndWait("failure", 3);
  notifier.tell(createEvent({ kind: "absence" }), ["pulse"]);
  await bench.close();
  assert.deepEqual(
    server.received.map(({ method, path }) => `${method} ${path}`),
    ["GET /uuid/start?key=1", "GET /uuid?key=1", "GET /uuid/fail?key=1"],
  );
});

test("A12: a command gets the event on its standard input and in its environment, not in its arguments", async () => {
  await using bench = new Bench();
  const script = `cat > "${bench.directory}/in.part"; env | grep ^HOLDFAST_EVENT_ | sort > "${bench.directory}/env"; mv "${bench.directory}/in.part" "${bench.directory}/in"`;
  const notifier = await bench.open([createCommand(["sh", "-c", script])]);
  notifier.tell(createEvent({ title: "Title\nwith a second line", text: "$(touch /x) `y`" }), ["mail"]);
  const event = JSON.parse(await appear(bench.directory, "in")) as Notification;
  await bench.close();
  assert.equal(event.title, "Title with a second line");
  const env = readFileSync(join(bench.directory, "env"), "utf8");
  assert.match(env, /^HOLDFAST_EVENT_TITLE=Title with a second line$/m);
  assert.match(env, /^HOLDFAST_EVENT_TEXT=\$\(touch \/x\) `y`$/m);
  assert.match(env, /^HOLDFAST_EVENT_KIND=failure$/m);
});

test("a command that hangs is killed at its time limit with what it started", async () => {
  await using bench = new Bench();
  const notifier = await bench.open(
    [createCommand(["sh", "-c", `sleep 1000 & echo $! > "${bench.directory}/pid"; wait`], { timeoutMs: 1_000 })],
    [60_000],
  );
  notifier.tell(createEvent(), ["mail"]);
  await bench.logged(/no answer within 1000 ms/);
  const pid = Number(readFileSync(join(bench.directory, "pid"), "utf8"));
  while (isRunning(pid)) await new Promise((resolve) => setImmediate(resolve));
});

test("a command that fails or is not there is told by what happened, without its arguments", async () => {
  await using bench = new Bench();
  const notifier = await bench.open(
    [createCommand(["sh", "-c", "exit 3", "canary"]), createCommand(["/no/such/canary"], { name: "none" })],
    [60_000],
  );
  notifier.tell(createEvent(), ["mail", "none"]);
  await bench.logged(/"mail" fails: its program exited with 3/);
  await bench.logged(/"none" fails: its program cannot be started/);
  assert.doesNotMatch(bench.lines.join("\n"), /canary/);
});

test("F71: addresses, headers and passwords stand in no log, state, error or outbox file", async () => {
  await using bench = new Bench();
  const url = (text: string): Channel => createWebhook(text, { name: text, headers: { "X-Key": new Secret("canary-header\nx") } });
  const channels = ["http://bob:canary@127.0.0.1:1/canary", "canary://x", "not an address canary", "http://canary.invalid/"];
  const named = channels.map((text, index): Channel => ({ ...url(text), name: `c${index}` }));
  const plain = named.map((channel): Channel => ({
    ...channel,
    name: `${channel.name}-plain`,
    ...(channel.kind === "webhook" ? { headers: {} } : {}),
  }));
  const all = [...named, ...plain];
  const notifier = await bench.open(all, [60_000]);
  notifier.tell(
    createEvent({ text: "pg_dump postgres://bob:canary@db/x failed", details: { password: "canary" } }),
    all.map(({ name }) => name),
  );
  for (const { name } of all) await bench.logged(new RegExp(`"${name}" fails`));
  const errors = await Promise.all(all.map(async ({ name }) => notifier.test(name, soon).then(() => "no error", String)));
  const state = JSON.stringify(notifier.state());
  await bench.close();
  assert.equal(bench.stored().length, all.length);
  const stored = bench.stored().map((name) => readFileSync(join(bench.outbox, name), "utf8"));
  assert.doesNotMatch([...bench.lines, ...errors, ...stored, state].join("\n"), /canary/);
  assert.ok(!errors.includes("no error"));
});

test("a queue that is full gives up what matters least, and says so", async () => {
  await using bench = new Bench();
  const notifier = await bench.open([createWebhook(refusingUrl, { on: ["failure", "success"] })], [60_000]);
  notifier.tell(createEvent(), ["ops"]);
  await bench.logged(/ECONNREFUSED/);
  for (let count = 0; count < 300; count += 1)
    notifier.tell(createEvent({ kind: count === 0 ? "failure" : "success", title: `number ${count}` }), ["ops"]);
  assert.equal(notifier.state()[0]?.undelivered, 200);
  assert.equal(notifier.state()[0]?.dropped, 101);
  await bench.close();
  const titles = bench
    .stored()
    .map((name) => (JSON.parse(readFileSync(join(bench.outbox, name), "utf8")) as { message: Notification }).message.title);
  assert.ok(titles.includes("number 0") && titles.includes("Backup of nightly failed"));
});

test("a reload sends what waits to the new address at once and forgets channels that are gone", async () => {
  await using server = await new Server().listen();
  await using bench = new Bench();
  const notifier = await bench.open([createWebhook(refusingUrl), createWebhook(refusingUrl, { name: "old" })], [3_600_000]);
  notifier.tell(createEvent(), ["ops", "old"]);
  await bench.logged(/"ops" fails/);
  await bench.logged(/"old" fails/);
  notifier.replaceChannels(new Map([["ops", createWebhook(server.url)]]));
  await server.receive(1);
  await bench.logged(/works again/);
  await bench.close();
  assert.deepEqual(bench.stored(), []);
  assert.match(bench.lines.join("\n"), /given up: the channel is gone/);
});

test("a test message goes past the queue and its failure is the caller's", async () => {
  await using server = await new Server().listen();
  await using bench = new Bench();
  const notifier = await bench.open([createWebhook(server.url)]);
  await notifier.test("ops", soon);
  assert.match(server.received[0]?.body ?? "", /"test":true/);
  server.answer = (response) => response.writeHead(503).end();
  await assert.rejects(
    notifier.test("ops", soon),
    (error) => error instanceof HoldfastError && error.message === "it answered with HTTP status 503",
  );
  await assert.rejects(notifier.test("nobody", soon), { code: "unknown-name" });
});

test("closing sends what was just told, and stops what hangs", async () => {
  await using server = await new Server().listen();
  await using bench = new Bench();
  (await bench.open([createWebhook(server.url)])).tell(createEvent(), ["ops"]);
  await bench.close();
  assert.equal(server.received.length, 1);
  server.answer = () => undefined;
  (await bench.open([createWebhook(server.url, { timeoutMs: 600_000 })])).tell(createEvent(), ["ops"]);
  await bench.close();
  assert.equal(bench.stored().length, 1);
});
