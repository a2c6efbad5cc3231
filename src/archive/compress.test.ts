import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { HoldfastError } from "../base/errors.ts";
import { findProgram } from "../base/find-program.ts";
import { compressSource } from "./compress.ts";
import { compressionMethods, type Compression, type CompressionMethod } from "./compression.ts";
import { measureBytes } from "./measure.ts";
import { createEndless, createFailing, createStalling, createStream, stalling } from "../../test/support/byte-sources.ts";
import { assertCode, collect, directory, large, never, withoutLeftovers, writeFile } from "../../test/support/compression-bench.ts";

const noProgress = (): void => undefined;
/** zstd is done in the process or, from level 4 on, by its program. */
const byProgram: Compression = { method: "zstd", level: 4 };
const ways: readonly Compression[] = [...compressionMethods.map((method) => ({ method })), byProgram];
const describe = ({ method, level }: Compression): string => (level === undefined ? method : `${method}:${level}`);

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

function openWithTool(method: CompressionMethod, stored: Buffer): Buffer {
  const tool = { none: ["cat"], gzip: ["gzip", "-dc"], zstd: ["zstd", "-qdc"] }[method];
  return execFileSync(tool[0] ?? "", tool.slice(1), { input: stored, maxBuffer: 1 << 28 });
}
