import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { TextDecoder } from "node:util";
import { readErrno } from "../base/errors.ts";

/** Larger files are no configuration. */
export const maxSourceBytes = 1024 * 1024;

/** The text of a config file, or why it is none, with the place where that can be told. */
export type SourceText =
  | { readonly text: string }
  | { readonly missing: true }
  | { readonly message: string; readonly line?: number; readonly column?: number };

/** Reads a config file. Never waits on a FIFO, never reads more than `maxSourceBytes`. */
export async function readSource(path: string): Promise<SourceText> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const facts = await file.stat();
    if (!facts.isFile()) return { message: "this is not a regular file" };
    if (facts.size > maxSourceBytes) return { message: `the file has ${facts.size} bytes; a config file has at most ${maxSourceBytes}` };
    const buffer = Buffer.alloc(maxSourceBytes + 1);
    let bytes = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, bytes, buffer.length - bytes, bytes);
      bytes += bytesRead;
      if (bytesRead === 0 || bytes > maxSourceBytes) break;
    }
    if (bytes > maxSourceBytes) return { message: `the file grows; a config file has at most ${maxSourceBytes} bytes` };
    return decodeSource(buffer.subarray(0, bytes));
  } catch (thrown) {
    const errno = readErrno(thrown);
    if (errno === "ENOENT") return { missing: true };
    if (errno === undefined) throw thrown;
    return { message: `the file cannot be read: ${errno}` };
  }
}

/** The text of a file's bytes: UTF-8 without NUL and other control characters that YAML forbids. */
export function decodeSource(bytes: Uint8Array): SourceText {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { message: "this byte is not UTF-8; save the file as UTF-8", ...locate(findInvalidByte(bytes), bytes) };
  }
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  const control = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.exec(text);
  if (control === null) return { text };
  const code = control[0].charCodeAt(0).toString(16).padStart(4, "0");
  return {
    message: `the control character U+${code.toUpperCase()} may not be in a config file`,
    ...locate(Buffer.byteLength(text.slice(0, control.index)), bytes),
  };
}

/** The offset of the first byte that no UTF-8 text has there, by bisection over prefixes. */
function findInvalidByte(bytes: Uint8Array): number {
  let [valid, invalid] = [0, bytes.length];
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1;
    if (isPrefixValid(bytes.subarray(0, middle))) valid = middle;
    else invalid = middle;
  }
  return valid;
}

function isPrefixValid(bytes: Uint8Array): boolean {
  try {
    // A sequence that is cut off at the end may still become valid.
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

function locate(offset: number, bytes: Uint8Array): { readonly line: number; readonly column: number } {
  const before = Buffer.from(bytes.subarray(0, offset)).toString("latin1").split("\n");
  const last = before.at(-1) ?? "";
  return { line: before.length, column: Buffer.from(last, "latin1").toString("utf8").length + 1 };
}
