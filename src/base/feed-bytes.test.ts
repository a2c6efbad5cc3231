import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { test } from "node:test";
import { feedBytes } from "./feed-bytes.ts";

const piece = 1 << 18;

async function* give(pieces: number, given: { count: number }): AsyncGenerator<Uint8Array, void, undefined> {
  for (let n = 0; n < pieces; n += 1) {
    await Promise.resolve();
    given.count += 1;
    yield Buffer.alloc(piece, n);
  }
}

test("a body is read about a mebibyte ahead of what takes it, and not further", async () => {
  const given = { count: 0 };
  const taken: Buffer[] = [];
  let goOn = (): void => undefined;
  const slow = new Writable({
    write(chunk: Buffer, _encoding, done) {
      taken.push(chunk);
      goOn = done;
    },
  });
  const feeding = feedBytes(give(20, given), slow);
  for (let n = 1; n <= 20; n += 1) {
    // Everything that can happen without another piece being taken has happened then.
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(taken.length, n);
    assert.ok(given.count <= n + 4, `${given.count} pieces were read when ${n} had been taken`);
    if (n === 10) assert.ok(given.count >= n + 3, "it is read ahead");
    goOn();
  }
  assert.equal(await feeding, "whole");
  assert.deepEqual(Buffer.concat(taken), Buffer.concat(Array.from({ length: 20 }, (_, n) => Buffer.alloc(piece, n))));
});

test("E7 what takes no more cuts a body off, whether it closes or fails, and is not waited for", async () => {
  for (const error of [undefined, new Error("it is gone")]) {
    const given = { count: 0 };
    const stuck = new Writable({ write: () => undefined });
    const feeding = feedBytes(give(100, given), stuck);
    setImmediate(() => stuck.destroy(error));
    assert.equal(await feeding, "cut");
    assert.ok(given.count < 10);
  }
});

test("E7 what a body throws comes out, and what takes it is not told that it has ended", async () => {
  let ended = false;
  const input = new Writable({
    write: (_chunk, _encoding, done) => done(),
    final(done) {
      ended = true;
      done();
    },
  });
  async function* fail(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* give(3, { count: 0 });
    throw new Error("the disk is gone");
  }
  await assert.rejects(feedBytes(fail(), input), /the disk is gone/);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(ended, false);
});
