import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "../base/secret.ts";
import type { Channel } from "./channel.ts";
import type { Notification } from "./notification.ts";
import { Bench, createEvent, createWebhook, Server } from "../../test/support/notifier-bench.ts";

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
  await bench.logged(/no answer within 50ms/);
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
