import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gunzipSync } from "node:zlib";
import type { ByteSource } from "../base/byte-source.ts";
import { HoldfastError } from "../base/errors.ts";
import { findProgram } from "../base/find-program.ts";
import { compressSource } from "./compress.ts";
import { compressionMethods, type Compression, type CompressionMethod } from "./compression.ts";
import { restoreBytes } from "./decompress.ts";
import { measureBytes } from "./measure.ts";

const directory = mkdtempSync(join(tmpdir(), "holdfast-compress-"));
after(() => rmSync(directory, { recursive: true }));
const never = new AbortController().signal;
const noProgress = (): void => undefined;
/** zstd is done in the process or, from level 4 on, by its program. */
const byProgram: Compression = { method: "zstd", level: 4 };
const ways: readonly Compression[] = [...compressionMethods.map((method) => ({ method })), byProgram];
const describe = ({ method, level }: Compression): string => (level === undefined ? method : `${method}:${level}`);
const large = Buffer.concat([randomBytes(700_000), Buffer.from("much the same line again\n".repeat(60_000))]);

test("F24 plain bytes are hashed apart from the compressor; what is stored opens with the plain tools", async () => {
  const path = writeFile("large.bin", large);
  for (const way of ways) {
    for (const source of [createStream(large), { kind: "file", path, bytes: large.length } as const]) {
      const compressed = compressSource(source, way, noProgress, never);
      const stored = await collect(compressed.bytes);
      assert.deepEqual(compressed.plain(), measureBytes(large));
      assert.ok(openWithTool(way.method, stored).equals(large), `${describe(way)} of a ${source.kind}`);
    }
  }
});

test("D13 gzip and zstd save most of text, and progress counts plain bytes", async () => {
  const text = Buffer.from("2024-01-01 12:00:00 INFO request answered in 12 ms\n".repeat(40_000));
  for (const method of ["gzip", "zstd"] as const) {
    const told: number[] = [];
    const stored = await collect(compressSource(createStream(text), { method }, (bytes) => told.push(bytes), never).bytes);
    assert.ok(stored.length < text.length * 0.2);
    assert.equal(told.at(-1), text.length);
  }
});

test("zstd frames carry a content checksum, also small ones", async () => {
  for (const body of [Buffer.from("small"), large]) {
    const stored = await collect(compressSource(createStream(body), { method: "zstd" }, noProgress, never).bytes);
    assert.equal((stored[4] ?? 0) & 4, 4, "the checksum flag of the frame header");
  }
});

test("without pigz the same is done in the process", { skip: findProgram("gzip") === undefined }, async () => {
  const bin = mkdtempSync(join(directory, "bin-"));
  for (const tool of ["setpriv", "zstd"]) symlinkSync(findProgram(tool) ?? "", join(bin, tool));
  const before = process.env["PATH"];
  process.env["PATH"] = bin;
  try {
    const stored = await collect(compressSource(createStream(large), { method: "gzip" }, noProgress, never).bytes);
    assert.ok(gunzipSync(stored).equals(large));
    const failing = compressSource(createFailing(300_000), { method: "gzip" }, noProgress, never);
    await assert.rejects(collect(failing.bytes), /the source broke/);
  } finally {
    process.env["PATH"] = before;
  }
});

test("F48 a staged file that is not as large as was said is no success", async () => {
  for (const size of [1000, 200_000]) {
    const path = writeFile(`wrong-${size}`, randomBytes(size));
    for (const way of ways) {
      for (const bytes of [size - 1, size + 1]) {
        await assertCode(
          collect(compressSource({ kind: "file", path, bytes }, way, noProgress, never).bytes),
          "source-changed",
          `${describe(way)} ${size} ${bytes}`,
        );
      }
    }
  }
});

test("1.5 a source that dies in the middle is never a short success, and leaves nothing behind", async () => {
  for (const way of ways) {
    for (const after of [0, 10, 100_000, 3_000_000]) {
      await withoutLeftovers(async () => {
        await assert.rejects(
          collect(compressSource(createFailing(after), way, noProgress, never).bytes),
          /the source broke/,
          `${describe(way)} after ${after}`,
        );
      });
    }
  }
});

test("F4 a compressor that is killed or fails is told as such, also while its source waits for ever", async () => {
  for (const script of ["kill -9 $$", "head -c 100000 >/dev/null; exit 3", "exec cat >/dev/null", "head -c 70000; exit 1"]) {
    for (const source of [createStream(large, 65_536), createStalling(200_000)]) {
      // It reads on as long as the source waits: nothing has gone wrong yet.
      if (script.includes("cat") && stalling.has(source)) continue;
      await withoutLeftovers(async () => {
        await withTool("zstd", script, async () => {
          const bytes = collect(compressSource(source, byProgram, noProgress, never).bytes);
          if (script.includes("cat")) assert.equal((await bytes).length, 0, "what a lying compressor leaves out is found by the read-back");
          else await assertCode(bytes, "tool-failed", script);
        });
      });
    }
  }
});

test("a missing compressor is named", async () => {
  const bin = mkdtempSync(join(directory, "bin-"));
  symlinkSync(findProgram("setpriv") ?? "", join(bin, "setpriv"));
  await withPath(bin, async () => {
    await assertCode(collect(compressSource(createStream(large), byProgram, noProgress, never).bytes), "tool-missing", "zstd");
  });
});

test("F2 an abort ends source and compressor at any point, with its own reason", async () => {
  const path = writeFile("abort.bin", large);
  for (const way of ways) {
    for (const source of [
      createStalling(0),
      createStalling(200_000),
      createEndless(),
      { kind: "file", path, bytes: large.length } as const,
    ]) {
      await withoutLeftovers(async () => {
        const controller = new AbortController();
        const reason = new HoldfastError("timeout", "the deadline of the run");
        const reading = collect(
          compressSource(source, way, (bytes) => void (bytes > 100_000 && controller.abort(reason)), controller.signal).bytes,
        );
        if (source.kind === "stream") setImmediate(() => setImmediate(() => controller.abort(reason)));
        await assertCode(reading, "timeout", describe(way));
      });
    }
  }
});

test("ending the iteration early stops the source, the compressor and the hashing", async () => {
  const path = writeFile("early.bin", large);
  for (const way of ways) {
    for (const source of [createEndless(), { kind: "file", path, bytes: large.length } as const]) {
      await withoutLeftovers(async () => {
        for await (const _ of compressSource(source, way, noProgress, never).bytes) break;
      });
    }
  }
});

test("F58 decompression stops at the first byte too many, of stored and of plain bytes", async () => {
  const bomb = Buffer.alloc(64 << 20);
  for (const method of ["gzip", "zstd"] as const) {
    for (const claimed of [100, 1 << 20]) {
      await withoutLeftovers(async () => {
        const stored = openFor(method, bomb);
        let yielded = 0;
        const part = { stored: measureBytes(stored), plain: { bytes: claimed, sha256: "0".repeat(64) }, compression: method };
        const reading = async (): Promise<void> => {
          for await (const chunk of restoreBytes(() => yieldBytes(stored, 65_536), part, "bomb", never)) yielded += chunk.length;
        };
        await assertCode(reading(), "backup-damaged", method);
        assert.ok(yielded <= claimed);
      });
    }
  }
  let taken = 0;
  const endless = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      taken += 65_536;
      yield await Promise.resolve(Buffer.alloc(65_536));
    }
  };
  const part = {
    stored: { bytes: 1_000_000, sha256: "0".repeat(64) },
    plain: { bytes: 1_000_000, sha256: "0".repeat(64) },
    compression: "none" as const,
  };
  await assertCode(collect(restoreBytes(endless, part, "endless", never)), "backup-damaged", "none");
  assert.ok(taken < 1_200_000);
});

test("F58 a zstd frame that asks for a window of 128 MiB or more is refused", async () => {
  const stored = execFileSync("zstd", ["-q", "-c", "--ultra", "-22", "--long=31"], { input: Buffer.alloc(3000, "abc") });
  const windowed = Buffer.from(stored);
  const plain = Buffer.alloc(3000, "abc");
  // A frame without content size that claims a window of 2 GiB.
  windowed.writeUInt8(0x04, 4);
  windowed.writeUInt8(21 << 3, 5);
  await assertCode(
    collect(
      restoreBytes(
        () => yieldBytes(windowed, 100),
        { stored: measureBytes(windowed), plain: measureBytes(plain), compression: "zstd" },
        "window",
        never,
      ),
    ),
    "backup-damaged",
    "window",
  );
});

test("garbage after the last gzip member and missing ends are refused", async () => {
  for (const method of ["gzip", "zstd"] as const) {
    for (const body of [Buffer.from("small"), large]) {
      const good = openFor(method, body);
      for (const stored of [good.subarray(0, -1), good.subarray(0, 9), Buffer.alloc(0), Buffer.concat([good, good])]) {
        await assertCode(
          collect(
            restoreBytes(
              () => yieldBytes(stored, 10_000),
              { stored: measureBytes(stored), plain: measureBytes(body), compression: method },
              "x",
              never,
            ),
          ),
          "backup-damaged",
          `${method} ${stored.length}`,
        );
      }
    }
  }
});

function createStream(body: Uint8Array, chunkBytes = 50_000): ByteSource {
  return { kind: "stream", open: () => yieldBytes(body, chunkBytes) };
}

async function* yieldBytes(body: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < body.length; at += chunkBytes) yield await Promise.resolve(body.subarray(at, at + chunkBytes));
}

let open = 0;

function createFailing(after: number): ByteSource {
  return {
    kind: "stream",
    open: async function* fail() {
      for (let bytes = 0; bytes < after; bytes += 10_000) yield await Promise.resolve(randomBytes(Math.min(10_000, after - bytes)));
      throw new Error("the source broke");
    },
  };
}

const stalling = new WeakSet<ByteSource>();

/** Gives some bytes, then nothing until its signal is aborted. */
function createStalling(after: number): ByteSource {
  const source: ByteSource = {
    kind: "stream",
    open: async function* stall(signal) {
      open += 1;
      try {
        if (after > 0) yield randomBytes(after);
        await new Promise((_, reject) => {
          const fail = (): void => reject(new Error("aborted"));
          if (signal.aborted) fail();
          else signal.addEventListener("abort", fail, { once: true });
        });
      } finally {
        open -= 1;
      }
    },
  };
  stalling.add(source);
  return source;
}

function createEndless(): ByteSource {
  return {
    kind: "stream",
    open: async function* go(signal) {
      open += 1;
      try {
        for (;;) {
          if (signal.aborted) throw new Error("aborted");
          yield await new Promise<Uint8Array>((resolve) => setImmediate(() => resolve(randomBytes(30_000))));
        }
      } finally {
        open -= 1;
      }
    },
  };
}

/** No child, no open file of the test directory and no open source is left when it is done. */
async function withoutLeftovers(run: () => Promise<void>): Promise<void> {
  await run();
  assert.equal(open, 0, "a source goes on");
  assert.deepEqual(listChildren(), []);
  const descriptors = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  assert.deepEqual(
    descriptors.filter((path) => path.startsWith(directory)),
    [],
  );
}

function listChildren(): readonly string[] {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim();
  return children === "" ? [] : children.split(" ");
}

async function withTool(name: string, script: string, run: () => Promise<void>): Promise<void> {
  const bin = mkdtempSync(join(directory, "bin-"));
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  await withPath(`${bin}:${process.env["PATH"] ?? ""}`, run);
}

async function withPath(path: string, run: () => Promise<void>): Promise<void> {
  const before = process.env["PATH"];
  process.env["PATH"] = path;
  try {
    await run();
  } finally {
    process.env["PATH"] = before;
  }
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function assertCode(promise: Promise<unknown>, code: string, what: string): Promise<void> {
  await assert.rejects(
    promise,
    (error) => {
      assert.ok(error instanceof HoldfastError, `${what}: ${String(error)}`);
      assert.equal(error.code, code, `${what}: ${error.message}`);
      return true;
    },
    what,
  );
}

function writeFile(name: string, body: Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, body);
  return path;
}

function openWithTool(method: CompressionMethod, stored: Buffer): Buffer {
  const tool = { none: ["cat"], gzip: ["gzip", "-dc"], zstd: ["zstd", "-qdc"] }[method];
  return execFileSync(tool[0] ?? "", tool.slice(1), { input: stored, maxBuffer: 1 << 28 });
}

function openFor(method: "gzip" | "zstd", body: Uint8Array): Buffer {
  return execFileSync(method, method === "gzip" ? ["-c"] : ["-q", "-c", "--check"], { input: body, maxBuffer: 1 << 28 });
}
