import type { FileAttributes } from "../contract.ts";
import { blockBytes } from "../trees/tar-header.ts";

/** The header blocks of a regular file in POSIX tar: an extended header with everything exact, then the plain one. The name is short. */
export function createFileHeader(name: string, bytes: number, attributes: FileAttributes): Buffer {
  const ns = BigInt(attributes.mtimeNs);
  const seconds = ns < 0n ? `-${-ns / 1_000_000_000n}` : String(ns / 1_000_000_000n);
  const fraction = String((ns < 0n ? -ns : ns) % 1_000_000_000n).padStart(9, "0");
  const records = [
    ["mtime", `${seconds}.${fraction}`],
    ["uid", String(attributes.uid)],
    ["gid", String(attributes.gid)],
    ["size", String(bytes)],
  ].map(([key = "", value = ""]) => createPaxRecord(key, value));
  const extended = Buffer.from(records.join(""));
  return Buffer.concat([
    createHeader("x", "PaxHeader", extended.length, 0o600),
    extended,
    createPadding(extended.length),
    createHeader("0", name, 0, attributes.mode),
  ]);
}

/** The zeros that fill the last block of a member. */
export function createPadding(bytes: number): Buffer {
  return Buffer.alloc((blockBytes - (bytes % blockBytes)) % blockBytes);
}

export const endOfArchive = Buffer.alloc(2 * blockBytes);

export function createPaxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const restBytes = Buffer.byteLength(rest);
  let length = restBytes + 1;
  while (String(length).length + restBytes !== length) length = String(length).length + restBytes;
  return `${length}${rest}`;
}

export function createHeader(type: string, name: string, bytes: number, mode: number, link = ""): Buffer {
  const block = Buffer.alloc(blockBytes);
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`;
  block.write(name, 0, 100);
  block.write(octal(mode, 8) + octal(0, 8) + octal(0, 8) + octal(bytes, 12) + octal(0, 12), 100, "latin1");
  block.write("        ", 148, "latin1");
  block.write(type, 156, "latin1");
  block.write(link, 157, 100);
  block.write("ustar\u000000", 257, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
