import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { fc } from "../support/properties.ts";
import { ask, openControlBed, openWire, type ControlBed } from "../support/control.ts";
import { assertHealthy, backupsPath, codeOf, quickLimits } from "../support/control-limits.ts";

let bed: ControlBed;
before(async () => {
  bed = await openControlBed(quickLimits);
});
after(() => bed[Symbol.asyncDispose]());

describe("F68 abuse", () => {
  test("connections that say nothing, or their headers too slowly, are closed", async () => {
    const silent = openWire(bed.adminPath);
    const slow = openWire(bed.adminPath);
    slow.socket.write("GET /v1/status HTTP/1.1\r\nhost:");
    const drip = setInterval(() => slow.socket.write("a"), 20);
    assert.match(await slow.closed, /^HTTP\/1\.1 408 |^$/);
    await silent.closed;
    clearInterval(drip);
    await assertHealthy(bed);
  });

  test("a body that comes byte by byte is cut off", async () => {
    const wire = openWire(bed.adminPath);
    wire.socket.write(`POST ${backupsPath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{`);
    const drip = setInterval(() => wire.socket.write(" "), 20);
    assert.match(await wire.closed, /^HTTP\/1\.1 408 /);
    clearInterval(drip);
  });

  test("a body of 1 GiB is refused by its announcement, and one without any by its size", async () => {
    const announced = openWire(bed.adminPath);
    announced.socket.write(
      `POST ${backupsPath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${1 << 30}\r\n\r\n{`,
    );
    assert.match(await announced.closed, /^HTTP\/1\.1 400 [^]*too large/);
    const chunked = openWire(bed.adminPath);
    chunked.socket.write(`POST ${backupsPath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`);
    const chunk = `4000\r\n${" ".repeat(0x4000)}\r\n`;
    let sent = 0;
    const pour = (): void => {
      while (!chunked.socket.destroyed && sent < 1 << 30 && chunked.socket.write(chunk)) sent += 0x4000;
    };
    chunked.socket.on("drain", pour);
    pour();
    assert.match(await chunked.closed, /^HTTP\/1\.1 400 [^]*too large|^$/);
    assert.ok(sent < 16 << 20, `it took ${sent} bytes`);
    await assertHealthy(bed);
  });

  test("deep JSON, prototypes, wrong media types and large headers are refused", async () => {
    const post = (raw: string, headers: Record<string, string> = {}): ReturnType<typeof ask> =>
      ask(bed.adminPath, { method: "POST", path: backupsPath, raw, headers });
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
    await assertHealthy(bed);
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
      backupsPath,
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
    await assertHealthy(bed);
  });
});
