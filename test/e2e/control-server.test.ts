import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { allRoutes, privateRoutes } from "../../src/control/route-table.ts";
import type { Route } from "../../src/control/route.ts";
import type { EventLine } from "../../src/operations/watch-events.ts";
import { ControlClient } from "../../src/control/client.ts";
import { ask, openControlBed, openWire, type ControlBed } from "../support/control.ts";
import { assertHealthy, backupsPath, codeOf, quickLimits } from "../support/control-limits.ts";

let bed: ControlBed;
before(async () => {
  bed = await openControlBed(quickLimits);
});
after(() => bed[Symbol.asyncDispose]());

/** A path that fits the route and names nothing that is there. */
const fill = (route: Route): string => `/v1${route.path.replaceAll(/:[a-z]+/gi, "nothing")}`;

describe("routes", () => {
  test("G4 prop-P8 the read-only socket has no route that changes something, whatever the method", async () => {
    const before = JSON.stringify(bed.core.queue.list());
    const paths = new Set(allRoutes.map(fill));
    for (const path of paths) {
      for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]) {
        const known = allRoutes.find((route) => route.method === method && fill(route) === path);
        if (known?.stream === true && path === "/v1/events") continue;
        const { status, body } = await ask(bed.readPath, { method, path });
        if (known?.access === "read") continue;
        assert.equal(status, known === undefined ? 404 : 403, `${method} ${path}`);
        if (method !== "HEAD") assert.equal(codeOf(body), known === undefined ? "unknown-name" : "forbidden", `${method} ${path}`);
      }
    }
    assert.equal(JSON.stringify(bed.core.queue.list()), before);
    assert.ok(privateRoutes.length > 10);
    assert.ok(allRoutes.filter(({ method }) => method !== "GET").every(({ access }) => access === "admin"));
  });

  test("every route refuses an unknown query parameter, and those with a body an unknown field", async () => {
    for (const route of allRoutes) {
      const asked = await ask(bed.adminPath, { method: route.method, path: `${fill(route)}?nonsense=1` });
      assert.equal(asked.status, 400, `${route.method} ${route.path}: ${asked.text}`);
      assert.match(asked.text, /nonsense/);
      if (route.method !== "POST") continue;
      const sent = await ask(bed.adminPath, { method: "POST", path: fill(route), body: { nonsense: 1 } });
      assert.equal(sent.status, 400, `${route.method} ${route.path}: ${sent.text}`);
      assert.match(sent.text, /nonsense/);
    }
  });

  test("every answer, refusals included, says which version gave it", async () => {
    const answers = [
      await ask(bed.readPath, { path: "/v1/status" }),
      await ask(bed.readPath, { path: "/nothing" }),
      await ask(bed.readPath, { path: "/v1/%zz" }),
      await ask(bed.adminPath, { method: "POST", path: backupsPath, raw: "{" }),
    ];
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 404, 400, 400],
    );
    for (const { headers } of answers) assert.deepEqual([headers["holdfast-version"], headers["holdfast-api"]], [bed.core.version, "1"]);
    const wire = openWire(bed.readPath);
    wire.socket.write("no http at all\r\n\r\n");
    assert.match(await wire.closed, /^HTTP\/1\.1 400 [^]*holdfast-version: /);
  });

  test("the admin socket keeps no connection, the read-only one does", async () => {
    assert.equal((await ask(bed.adminPath, { path: "/v1/status", headers: { connection: "keep-alive" } })).headers["connection"], "close");
    assert.equal(
      (await ask(bed.readPath, { path: "/v1/status", headers: { connection: "keep-alive" } })).headers["connection"],
      "keep-alive",
    );
  });

  test("F10 the same idempotency key gives the same answer and one task; another request under it is a conflict", async () => {
    const post = (body: unknown): ReturnType<typeof ask> =>
      ask(bed.adminPath, { method: "POST", path: backupsPath, body, headers: { "idempotency-key": "deploy-42" } });
    const [one, other] = await Promise.all([post({ note: "a" }), post({ note: "a" })]);
    const later = await post({ note: "a" });
    assert.equal(one.status, 200, one.text);
    assert.equal(other.text, one.text);
    assert.equal(later.text, one.text);
    const task = (one.body as { task: string }).task;
    assert.equal(bed.core.queue.list().filter(({ payload }) => JSON.stringify(payload).includes('"a"')).length, 1);
    const conflict = await post({ note: "b" });
    assert.deepEqual([conflict.status, codeOf(conflict.body)], [409, "conflict"]);
    const key = await ask(bed.adminPath, { method: "POST", path: backupsPath, body: {}, headers: { "idempotency-key": "k".repeat(201) } });
    assert.equal(key.status, 400);
    assert.equal((await ask(bed.adminPath, { method: "DELETE", path: `/v1/tasks/${task}` })).status, 200);
  });

  test("an idempotency key of a client cannot stand in for a slot of a schedule", async () => {
    const slot = "slot:nightly:backup:1";
    const { body } = await ask(bed.adminPath, {
      method: "POST",
      path: backupsPath,
      body: { note: "x" },
      headers: { "idempotency-key": slot },
    });
    const enqueued = bed.core.queue.enqueue({
      kind: "backup",
      payload: { a: 1 },
      keys: [],
      priority: "scheduled",
      requester: "test",
      idempotencyKey: slot,
    });
    assert.equal(enqueued.joined, "new");
    bed.core.queue.cancel(enqueued.task.id);
    bed.core.queue.cancel((body as { task: string }).task);
  });
});

describe("events", () => {
  test("both sockets stream what happens: queue changes, signs of life", async () => {
    for (const path of [bed.adminPath, bed.readPath]) {
      const stop = new AbortController();
      const lines: EventLine[] = [];
      const client = new ControlClient(path);
      for await (const line of client.stream<EventLine>({ method: "GET", path: "/events" }, stop.signal)) {
        lines.push(line);
        if (line.type === "hello") {
          const asked = await ask(bed.adminPath, { method: "POST", path: backupsPath, body: { note: path } });
          await ask(bed.adminPath, { method: "DELETE", path: `/v1/tasks/${(asked.body as { task: string }).task}` });
        }
        if (line.type === "task" && line.change === "ended") break;
      }
      assert.deepEqual(
        lines.map((line) => (line.type === "task" ? `${line.change} ${line.task?.state}` : line.type)),
        ["hello", "enqueued waiting", "ended cancelled"],
      );
    }
  });

  test("F68 a reader that does not read is dropped, and what waits for it is bounded", async () => {
    const wire = openWire(bed.readPath);
    wire.socket.write("GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n");
    await once(wire.socket, "data");
    wire.socket.pause();
    const before = process.memoryUsage().rss;
    const text = "n".repeat(900);
    let ended = false;
    void wire.closed.then(() => {
      ended = true;
    });
    // Far more than socket buffers take: 6,000 changes of about 1.5 KiB.
    for (let count = 0; count < 3_000; count += 1) {
      bed.core.queue.pause({ job: "nightly", reason: text });
      const { task } = bed.core.queue.enqueue({ kind: "backup", payload: { text }, keys: [], priority: "scheduled", requester: text });
      bed.core.queue.cancel(task.id);
      if (count % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    bed.core.queue.resume({ job: "nightly" });
    assert.equal(ended, false);
    wire.socket.resume();
    const received = await wire.closed;
    assert.match(received, /"type":"dropped"|"type":"task"/);
    assert.ok(received.length < 4_000_000, `${received.length} bytes were kept for it`);
    assert.ok(process.memoryUsage().rss - before < 150 << 20);
    await assertHealthy(bed);
  });

  test("a stream that has nothing to say says an empty line", async () => {
    const wire = openWire(bed.readPath);
    wire.socket.write("GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n");
    let text = "";
    for await (const chunk of wire.socket) {
      text += String(chunk);
      if (/\r\n1\r\n\n\r\n/.test(text)) break;
    }
    assert.match(text, /"type":"hello"/);
  });
});
