import { createHash } from "node:crypto";
import { HoldfastError } from "../base/errors.ts";

const prefix = '{"sha256":"';
const middle = '","manifest":';
const suffix = "}\n";
const hashLength = 64;
const headLength = prefix.length + hashLength + middle.length;

/** The largest manifest that is read; long file lists have files of their own. */
export const manifestLimitBytes = 16 << 20;

/**
 * `{"sha256":"<64 hex>","manifest":<value>}` and a newline: the hash is over the exact bytes of the second value, so no canonical form
 * of JSON is needed and every changed, missing or added byte is found (FAILURES E1).
 */
export function sealJson(value: unknown): Uint8Array {
  const body = JSON.stringify(value, undefined, 1);
  return Buffer.from(prefix + createHash("sha256").update(body).digest("hex") + middle + body + suffix);
}

/** @throws manifest-invalid unless the bytes are exactly what `sealJson` makes */
export function unsealJson(bytes: Uint8Array, place: string): { readonly value: unknown; readonly sha256: string } {
  const fail = (why: string): never => {
    throw new HoldfastError("manifest-invalid", `Cannot read the manifest ${place}: ${why}`, { hint: "This backup cannot be trusted; use another one." });
  };
  if (bytes.length > manifestLimitBytes) fail(`it is larger than ${manifestLimitBytes} bytes`);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const head = buffer.subarray(0, headLength).toString("latin1");
  const sha256 = head.slice(prefix.length, prefix.length + hashLength);
  if (!head.startsWith(prefix) || !head.endsWith(middle) || !/^[0-9a-f]{64}$/.test(sha256)) fail("it does not begin like one");
  if (buffer.subarray(-suffix.length).toString("latin1") !== suffix) fail("its end is missing");
  const body = buffer.subarray(headLength, -suffix.length);
  if (createHash("sha256").update(body).digest("hex") !== sha256) fail("its content does not match its hash");
  try {
    return { value: JSON.parse(body.toString("utf8")) as unknown, sha256 };
  } catch {
    return fail("it is not JSON");
  }
}
