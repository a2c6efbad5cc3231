import { createHash } from "node:crypto";
import { HoldfastError } from "../base/errors.ts";

const prefix = '{"sha256":"';
const middle = '","manifest":';
const suffix = "}\n";
const hashLength = 64;
const headLength = prefix.length + hashLength + middle.length;

/** The largest manifest that is written and read; long file lists have files of their own. */
export const manifestLimitBytes = 16 << 20;
/** What is nested deeper is refused before it is parsed: it could only be made to break what walks through it. */
const depthLimit = 64;

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
    throw new HoldfastError("manifest-invalid", `Cannot read the manifest ${place}: ${why}`, {
      hint: "This backup cannot be trusted; use another one.",
    });
  };
  if (bytes.length > manifestLimitBytes) fail(`it is larger than ${manifestLimitBytes} bytes`);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const head = buffer.subarray(0, headLength).toString("latin1");
  const sha256 = head.slice(prefix.length, prefix.length + hashLength);
  if (!head.startsWith(prefix) || !head.endsWith(middle) || !/^[0-9a-f]{64}$/.test(sha256)) fail("it does not begin like one");
  if (buffer.length < headLength + suffix.length || buffer.subarray(-suffix.length).toString("latin1") !== suffix)
    fail("its end is missing");
  const body = buffer.subarray(headLength, -suffix.length);
  if (createHash("sha256").update(body).digest("hex") !== sha256) fail("its content does not match its hash");
  if (measureDepth(body) > depthLimit) fail(`it is nested deeper than ${depthLimit} levels`);
  try {
    return { value: JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body)) as unknown, sha256 };
  } catch {
    return fail("it is not JSON");
  }
}

const quote = 0x22;
const backslash = 0x5c;

/** How deep arrays and objects are nested, brackets in strings left out. */
function measureDepth(json: Uint8Array): number {
  let deepest = 0;
  let depth = 0;
  let inString = false;
  for (let index = 0; index < json.length; index += 1) {
    const byte = json[index];
    if (inString) {
      if (byte === backslash) index += 1;
      else if (byte === quote) inString = false;
    } else if (byte === quote) inString = true;
    else if (byte === 0x5b || byte === 0x7b) {
      depth += 1;
      deepest = Math.max(deepest, depth);
    } else if (byte === 0x5d || byte === 0x7d) depth -= 1;
  }
  return deepest;
}
