import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, lstatSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { HoldfastError } from "../../src/base/errors.ts";
import { openControlServer } from "../../src/control/open-server.ts";
import { allRoutes, privateRoutes } from "../../src/control/route-table.ts";
import type { Route } from "../../src/control/route.ts";
import type { EventLine } from "../../src/operations/watch-events.ts";
import { ControlClient } from "../../src/control/client.ts";
import { ask, openControlBed, openWire, type ControlBed } from "../support/control.ts";

const quick = { headersMs: 200, requestMs: 400, checkMs: 50, stallMs: 600, heartbeatMs: 50, connections: 8 };
const backups = "/v1/jobs/nightly/backups";

let bed: ControlBed;
before(async () => {
  bed = await openControlBed(quick);
});
after(() => bed[Symbol.asyncDispose]());

interface Failure {
  readonly error: { readonly code: string; readonly message: string };
}
const codeOf = (body: unknown): string => (body as Failure).error.code;
const isHealthy = async (): Promise<void> => assert.equal((await ask(bed.readPath, { path: "/v1/status" })).status, 200);
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
      await ask(bed.adminPath, { method: "POST", path: backups, raw: "{" }),
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
      ask(bed.adminPath, { method: "POST", path: backups, body, headers: { "idempotency-key": "deploy-42" } });
    const [one, other] = await Promise.all([post({ note: "a" }), post({ note: "a" })]);
    const later = await post({ note: "a" });
    assert.equal(one.status, 200, one.text);
    assert.equal(other.text, one.text);
    assert.equal(later.text, one.text);
    const task = (one.body as { task: string }).task;
    assert.equal(bed.core.queue.list().filter(({ payload }) => JSON.stringify(payload).includes('"a"')).length, 1);
    const conflict = await post({ note: "b" });
    assert.deepEqual([conflict.status, codeOf(conflict.body)], [409, "conflict"]);
    const key = await ask(bed.adminPath, { method: "POST", path: backups, body: {}, headers: { "idempotency-key": "k".repeat(201) } });
    assert.equal(key.status, 400);
    assert.equal((await ask(bed.adminPath, { method: "DELETE", path: `/v1/tasks/${task}` })).status, 200);
  });

  test("an idempotency key of a client cannot stand in for a slot of a schedule", async () => {
    const slot = "slot:nightly:backup:1";
    const { body } = await ask(bed.adminPath, { method: "POST", path: backups, body: { note: "x" }, headers: { "idempotency-key": slot } });
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
          const asked = await ask(bed.adminPath, { method: "POST", path: backups, body: { note: path } });
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
    await isHealthy();
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

describe("F68 abuse", () => {
  test("connections that say nothing, or their headers too slowly, are closed", async () => {
    const silent = openWire(bed.adminPath);
    const slow = openWire(bed.adminPath);
    slow.socket.write("GET /v1/status HTTP/1.1\r\nhost:");
    const drip = setInterval(() => slow.socket.write("a"), 20);
    assert.match(await slow.closed, /^HTTP\/1\.1 408 |^$/);
    await silent.closed;
    clearInterval(drip);
    await isHealthy();
  });

  test("a body that comes byte by byte is cut off", async () => {
    const wire = openWire(bed.adminPath);
    wire.socket.write(`POST ${backups} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{`);
    const drip = setInterval(() => wire.socket.write(" "), 20);
    assert.match(await wire.closed, /^HTTP\/1\.1 408 /);
    clearInterval(drip);
  });

  test("a body of 1 GiB is refused by its announcement, and one without any by its size", async () => {
    const announced = openWire(bed.adminPath);
    announced.socket.write(`POST ${backups} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${1 << 30}\r\n\r\n{`);
    assert.match(await announced.closed, /^HTTP\/1\.1 400 [^]*too large/);
    const chunked = openWire(bed.adminPath);
    chunked.socket.write(`POST ${backups} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`);
    const chunk = `4000\r\n${" ".repeat(0x4000)}\r\n`;
    let sent = 0;
    const pour = (): void => {
      while (!chunked.socket.destroyed && sent < 1 << 30 && chunked.socket.write(chunk)) sent += 0x4000;
    };
    chunked.socket.on("drain", pour);
    pour();
    assert.match(await chunked.closed, /^HTTP\/1\.1 400 [^]*too large|^$/);
    assert.ok(sent < 16 << 20, `it took ${sent} bytes`);
    await isHealthy();
  });

  test("deep JSON, prototypes, wrong media types and large headers are refused", async () => {
    const post = (raw: string, headers: Record<string, string> = {}): ReturnType<typeof ask> =>
      ask(bed.adminPath, { method: "POST", path: backups, raw, headers });
    const deep = await post(`{"note":${"[".repeat(30_000)}${"]".repeat(30_000)}}`);
    assert.deepEqual([deep.status, codeOf(deep.body)], [400, "usage"]);
    assert.match(deep.text, /nested/);
    assert.equal((await post('{"__proto__":{"note":"x"}}')).status, 400);
    assert.equal((await post("note=x", { "content-type": "application/x-www-form-urlencoded" })).status, 400);
    assert.equal((await post("{}", { "content-type": "text/plain" })).status, 400);
    const large = openWire(bed.adminPath);
    large.socket.write(`GET /v1/status HTTP/1.1\r\nx: ${"y".repeat(9_000)}\r\n\r\n`);
    assert.match(await large.closed, /^HTTP\/1\.1 431 /);
  });

  test("more connections than are taken are dropped; when they have gone others are served", async () => {
    const wires = Array.from({ length: 200 }, () => openWire(bed.readPath));
    await Promise.all(wires.map(({ closed }) => closed));
    await isHealthy();
  });

  test("clients that go away in the middle of an answer, and pipelined requests, harm nobody", async () => {
    for (let count = 0; count < 20; count += 1) {
      const wire = openWire(bed.readPath);
      wire.socket.write("GET /v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n");
      if (count % 2 === 0) await once(wire.socket, "data");
      wire.socket.destroy();
      await wire.closed;
    }
    const pipelined = openWire(bed.readPath);
    pipelined.socket.write("GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n".repeat(50));
    assert.equal((await pipelined.closed).match(/HTTP\/1\.1 200 /g)?.length, 50);
    const admin = openWire(bed.adminPath);
    admin.socket.write("GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n".repeat(50));
    assert.equal((await admin.closed).match(/HTTP\/1\.1 200 /g)?.length, 1);
  });

  test("prop-P8 any bytes get an answer or a closed connection, and change nothing", async () => {
    const before = JSON.stringify(bed.core.queue.list());
    const words = fc.constantFrom(
      "GET ",
      "POST ",
      "DELETE ",
      backups,
      "/v1/status",
      " HTTP/1.1\r\n",
      "host: x\r\n",
      "\r\n",
      "\r\n\r\n",
      "content-length: 3\r\n",
      "transfer-encoding: chunked\r\n",
      "{}",
      "\0",
      "/v1/../v1/reload",
      "%2e%2e/",
      "5\r\n",
    );
    const noise = fc.array(fc.oneof(words, fc.string({ maxLength: 20, unit: "binary" })), { maxLength: 20 }).map((parts) => parts.join(""));
    await fc.assert(
      fc.asyncProperty(noise, async (text) => {
        const wire = openWire(bed.readPath);
        wire.socket.end(text);
        const answer = await wire.closed;
        assert.ok(answer === "" || answer.startsWith("HTTP/1.1 "), answer);
      }),
      { numRuns: 300 },
    );
    assert.equal(JSON.stringify(bed.core.queue.list()), before);
    await isHealthy();
  });
});

describe("the socket itself", () => {
  const open = (path: string, gid?: number): Promise<AsyncDisposable> => openControlServer({ path, access: "read", gid }, bed.context);
  const fails = (code: string) => (error: unknown) => error instanceof HoldfastError && error.code === code;

  test("G4 0660 and its group's, or 0600; gone when it is closed; the umask is as before", async () => {
    const umask = process.umask();
    for (const [gid, mode] of [
      [undefined, 0o600],
      [12_345, 0o660],
    ] as const) {
      const path = join(bed.dir, "mode.sock");
      {
        await using _server = await open(path, gid);
        const found = lstatSync(path);
        assert.deepEqual([found.mode & 0o777, found.gid], [mode, gid ?? process.getgid?.()]);
      }
      assert.equal(existsSync(path), false);
    }
    assert.equal(process.umask(), umask);
  });

  test("F9 a stale socket is replaced; a live one, a file, a link and a directory are left alone", async () => {
    const path = join(bed.dir, "stale.sock");
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    await once(spawn(process.execPath, ["-e", script]), "exit");
    assert.ok(lstatSync(path).isSocket());
    await (await open(path))[Symbol.asyncDispose]();

    const live = createServer();
    live.listen(path);
    await once(live, "listening");
    await assert.rejects(open(path), fails("daemon-running"));
    assert.ok(lstatSync(path).isSocket());
    live.close();
    await once(live, "close");

    writeFileSync(join(bed.dir, "file"), "mine");
    symlinkSync(bed.readPath, join(bed.dir, "link"));
    mkdirSync(join(bed.dir, "directory"));
    for (const name of ["file", "link", "directory"]) {
      await assert.rejects(open(join(bed.dir, name)), fails("conflict"));
      assert.ok(lstatSync(join(bed.dir, name)));
    }
    await isHealthy();
  });

  test("F9 a daemon too busy to answer is not taken for dead", async () => {
    const path = join(bed.dir, "busy.sock");
    const script = `require("net").createServer().listen({ path: ${JSON.stringify(path)}, backlog: 1 }, () => { console.log("up"); for (;;); })`;
    const busy = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(busy.stdout, "data");
    await assert.rejects(open(path), fails("daemon-running"));
    assert.ok(lstatSync(path).isSocket());
    busy.kill("SIGKILL");
    await once(busy, "exit");
  });

  test("a path that cannot be bound is told with its name", async () => {
    await assert.rejects(open(join(bed.dir, "nowhere/x.sock")), /Cannot listen on .*nowhere/);
    await assert.rejects(open(join(bed.dir, "x".repeat(120))), fails("config-invalid"));
  });
});
