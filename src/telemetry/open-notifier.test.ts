import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HoldfastError } from "../base/errors.ts";
import { Secret } from "../base/secret.ts";
import { runOrThrow } from "../../test/support/local-place.ts";
import type { Channel } from "./channel.ts";
import type { Notification } from "./notification.ts";
import { Bench, createEvent, createWebhook, findRefusingUrl, Server, soon } from "../../test/support/notifier-bench.ts";

test("G7: what is undelivered survives a restart, in files that only the owner reads", async () => {
  await using server = await new Server().listen();
  await using bench = new Bench();
  const refusing = createWebhook(await findRefusingUrl());
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
  const notifier = await bench.open([createWebhook(await findRefusingUrl(), { on: ["failure", "success"] })], [60_000]);
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
  const notifier = await bench.open(
    [createWebhook(await findRefusingUrl()), createWebhook(await findRefusingUrl(), { name: "old" })],
    [3_600_000],
  );
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
