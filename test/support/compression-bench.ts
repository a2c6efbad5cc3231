import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { HoldfastError } from "../../src/base/errors.ts";
import { countOpen } from "./byte-sources.ts";

/** Where a test of this process has its files; gone after it. */
export const directory = mkdtempSync(join(tmpdir(), "holdfast-compress-"));
after(() => rmSync(directory, { recursive: true }));
export const never = new AbortController().signal;
export const large = Buffer.concat([randomBytes(700_000), Buffer.from("much the same line again\n".repeat(60_000))]);

/** No child, no open file of the test directory and no open source is left when it is done. */
export async function withoutLeftovers(run: () => Promise<void>): Promise<void> {
  await run();
  assert.equal(countOpen(), 0, "a source goes on");
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

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export async function assertCode(promise: Promise<unknown>, code: string, what: string): Promise<void> {
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

export function writeFile(name: string, body: Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, body);
  return path;
}

export function openFor(method: "gzip" | "zstd", body: Uint8Array): Buffer {
  return execFileSync(method, method === "gzip" ? ["-c"] : ["-q", "-c", "--check"], { input: body, maxBuffer: 1 << 28 });
}
