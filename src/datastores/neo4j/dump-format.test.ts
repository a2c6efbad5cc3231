import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { constants, zstdCompressSync } from "node:zlib";
import { yieldBytes } from "../../../test/support/byte-sources.ts";
import { writeTar } from "../../../test/support/hostile-backup.ts";
import { HoldfastError } from "../../base/errors.ts";
import { readDump } from "./dump-format.ts";

const withChecksum = { params: { [constants.ZSTD_c_checksumFlag]: 1 } };

/** As neo4j-admin writes it. */
function makeDump(fileBytes: number): Buffer {
  const head = Buffer.alloc(24);
  head.write("zstd");
  head.writeBigInt64BE(1n, 8);
  head.writeBigInt64BE(BigInt(fileBytes), 16);
  const tar = writeTar([{ name: "store", type: "0", body: randomBytes(fileBytes / 2).toString("hex") }]);
  return Buffer.concat([Buffer.from("DZV1"), zstdCompressSync(Buffer.concat([head, tar]), withChecksum)]);
}

test("F22 a dump that is damaged anywhere is told as that, however its bytes come", async () => {
  const dump = makeDump(2_000_000);
  for (const pieceBytes of [1_000, 60_000, 1 << 20]) {
    assert.deepEqual(await readDump(yieldBytes(dump, pieceBytes), "dump"), { files: 1, bytes: 2_000_000 });
    for (let tenth = 1; tenth < 10; tenth += 1) {
      const flipped = Buffer.from(dump);
      const at = Math.floor((dump.length * tenth) / 10);
      flipped.writeUInt8(flipped.readUInt8(at) ^ 0xff, at);
      await assert.rejects(readDump(yieldBytes(flipped, pieceBytes), "dump"), { code: "backup-damaged" }, `${pieceBytes} ${tenth}`);
    }
  }
});

test("what the reading of a dump fails with stays what it is", async () => {
  const dump = makeDump(2_000_000);
  const away = new HoldfastError("destination-missing", "the disk is gone");
  async function* breakOff(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* yieldBytes(dump.subarray(0, dump.length / 2), 10_000);
    throw away;
  }
  await assert.rejects(readDump(breakOff(), "dump"), away);
});
