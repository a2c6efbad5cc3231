import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { HoldfastError } from "../../base/errors.ts";
import { makeTestDirectory, quiet } from "../../../test/support/datastore.ts";
import { unpackDirectory } from "./unpack-directory.ts";

/** In pieces of an odd size. */
async function* inPieces(bytes: Buffer): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += 100_003) {
    yield Buffer.from(bytes.subarray(at, at + 100_003));
    await Promise.resolve();
  }
}

const pack = (directory: string, ...args: readonly string[]): Buffer =>
  execFileSync("tar", ["--create", "--file=-", "--format=posix", "-C", directory, ...args], { maxBuffer: 1 << 28 });

function makeSource(t: TestContext): { readonly source: string; readonly target: string } {
  const directory = makeTestDirectory(t);
  const source = join(directory, "source");
  mkdirSync(source);
  for (const [name, bytes] of [
    ["toc.dat", 100],
    ["3001.dat", 5_000_000],
    ["empty.dat", 0],
    ["blob_1.dat", 512],
    [`${"x".repeat(150)}.dat`, 1_025],
  ] as const)
    writeFileSync(join(source, name), Buffer.alloc(bytes, `${name} `));
  return { source, target: join(directory, "target") };
}

test("a dump of format directory is unpacked file by file, whatever the pieces it comes in", async (t) => {
  const { source, target } = makeSource(t);
  await unpackDirectory(inPieces(pack(source, ".")), target, quiet);
  assert.deepEqual(readdirSync(target).toSorted(), readdirSync(source).toSorted());
  for (const name of readdirSync(source)) {
    assert.deepEqual(readFileSync(join(target, name)), readFileSync(join(source, name)), name);
    assert.equal(statSync(join(target, name)).mode & 0o777, 0o600);
  }
});

test("F57 what pg_dump writes into no directory is refused, and nothing leads out of it", async (t) => {
  for (const [name, args] of [
    ["a link", ["./link"]],
    ["a directory", ["./within"]],
    ["a hard link", ["./toc.dat", "./hard"]],
    ["a name with a directory", ["./within/file"]],
    ["a way out", ["--transform=s,^./toc.dat,../out,", "--absolute-names", "./toc.dat"]],
    ["an absolute name", ["--transform=s,^./toc.dat,/tmp/holdfast-out,", "--absolute-names", "./toc.dat"]],
    ["a pipe", ["./pipe"]],
    ["a file with holes", ["--sparse", "./holes"]],
    ["a name of the directory itself", ["--transform=s,^./toc.dat,./.,", "./toc.dat"]],
    ["the same name twice", ["./toc.dat", "--hard-dereference", "./toc.dat"]],
  ] as const) {
    const { source, target } = makeSource(t);
    mkdirSync(join(source, "within"));
    writeFileSync(join(source, "within/file"), "x");
    writeFileSync(join(source, "holes"), "x");
    truncateSync(join(source, "holes"), 1_000_000);
    symlinkSync("/etc/passwd", join(source, "link"));
    execFileSync("sh", ["-c", `ln ${source}/toc.dat ${source}/hard; mkfifo ${source}/pipe`]);
    await assert.rejects(unpackDirectory(inPieces(pack(source, ...args)), target, quiet), { code: "backup-damaged" }, name);
    assert.deepEqual(
      readdirSync(join(target, "..")).filter((each) => each !== "source"),
      ["target"],
      name,
    );
  }
});

/** Where the last file ends, before the blocks that end the tar. */
const findEnd = (tar: Buffer): number => Math.ceil((tar.findLastIndex((byte) => byte !== 0) + 1) / 512) * 512;

test("F38 a tar that is cut, goes on after its end, or is none is damaged; what its source throws comes out as it is", async (t) => {
  const tarOf = (directory: string): Buffer => pack(directory, ".");
  const cases: readonly (readonly [string, (tar: Buffer) => AsyncIterable<Uint8Array>, object])[] = [
    ["cut within a file", (tar) => inPieces(tar.subarray(0, 4_000_000)), { code: "backup-damaged" }],
    ["cut between two files", (tar) => inPieces(tar.subarray(0, findEnd(tar))), { code: "backup-damaged" }],
    ["nothing at all", () => inPieces(Buffer.alloc(0)), { code: "backup-damaged" }],
    ["cut within a header", (tar) => inPieces(tar.subarray(0, 700)), { code: "backup-damaged" }],
    ["bytes after its end", (tar) => inPieces(Buffer.concat([tar, Buffer.alloc(512, "x")])), { code: "backup-damaged" }],
    ["no tar", () => inPieces(Buffer.alloc(5_000, "x")), { code: "backup-damaged" }],
    [
      "a source that fails",
      async function* (tar) {
        yield tar.subarray(0, 2_000_000);
        yield await Promise.reject(new HoldfastError("destination-failed", "the disk is gone"));
      },
      { code: "destination-failed" },
    ],
  ];
  for (const [name, read, expected] of cases) {
    const { source, target } = makeSource(t);
    await assert.rejects(unpackDirectory(read(tarOf(source)), target, quiet), expected, name);
  }
});

test("a stop, and a place where nothing can be written, are told as what they are", async (t) => {
  const { source, target } = makeSource(t);
  const tar = pack(source, ".");
  const stop = new AbortController();
  async function* stopping(): AsyncGenerator<Uint8Array, void, undefined> {
    yield await Promise.resolve(tar.subarray(0, 2_000_000));
    stop.abort(new HoldfastError("cancelled", "stopped"));
    yield tar.subarray(2_000_000);
  }
  await assert.rejects(unpackDirectory(stopping(), target, stop.signal), { code: "cancelled" });
  await assert.rejects(unpackDirectory(inPieces(tar), "/proc/none", quiet), { code: "ENOENT" });
});
