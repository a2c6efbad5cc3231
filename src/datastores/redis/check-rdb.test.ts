import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeTestDirectory, quiet } from "../../../test/support/datastore.ts";
import { startRedis } from "../../../test/support/redis.ts";
import type { StoredEntry } from "../contract.ts";
import { writeAndScan } from "./check-rdb.ts";

function makeEntry(bytes: Buffer, pieceBytes: number): StoredEntry {
  return {
    name: "redis_backup.rdb",
    form: "file",
    bytes: bytes.length,
    sourcePath: "",
    open: async function* () {
      for (let at = 0; at < bytes.length; at += pieceBytes) yield await Promise.resolve(bytes.subarray(at, at + pieceBytes));
    },
  };
}

test("F14 a piece that cannot be written is told, the last one too, and one that can is in the file", async (t) => {
  const server = await startRedis(t, { config: ["rdbcompression no"] });
  server.call("SETRANGE", "large", String(3 << 20), "end");
  server.call("SAVE");
  const bytes = readFileSync(server.rdb);
  const directory = makeTestDirectory(t);
  for (const pieceBytes of [bytes.length, 65_536, 1_000_003]) {
    const path = join(directory, `${pieceBytes}.rdb`);
    assert.equal((await writeAndScan(makeEntry(bytes, pieceBytes), path, quiet)).bytes, bytes.length);
    assert.deepEqual(readFileSync(path), bytes);
  }
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m,mode=0700", "none", directory]);
  try {
    for (const pieceBytes of [bytes.length, 65_536, 1_000_003]) {
      const writing = writeAndScan(makeEntry(bytes, pieceBytes), join(directory, `${pieceBytes}.rdb`), quiet);
      await assert.rejects(writing, { code: "ENOSPC" });
    }
  } finally {
    execFileSync("umount", [directory]);
  }
});
