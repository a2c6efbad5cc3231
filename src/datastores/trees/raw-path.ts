import { isUtf8 } from "node:buffer";

/** A name of the file system for people: control characters and bytes that are no UTF-8 are escaped, so that a log line stays one line. */
export function escapePath(path: Buffer | string): string {
  const bytes = typeof path === "string" ? Buffer.from(path) : path;
  const text = isUtf8(bytes)
    ? bytes.toString("utf8")
    : Array.from(bytes, (byte) => (byte < 0x80 ? String.fromCodePoint(byte) : `\\x${byte.toString(16)}`)).join("");
  // oxlint-disable-next-line no-control-regex -- control characters are what is escaped
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code > 0xff ? `\\u${code.toString(16)}` : `\\x${code.toString(16).padStart(2, "0")}`;
  });
}

/** An absolute path as text that survives JSON whatever bytes it has; decodePath is the reverse. */
export function encodePath(path: Buffer): string {
  return isUtf8(path) ? path.toString("utf8") : `base64:${path.toString("base64")}`;
}

export function decodePath(text: string): Buffer {
  return text.startsWith("base64:") ? Buffer.from(text.slice("base64:".length), "base64") : Buffer.from(text);
}

/** Joins a directory and a relative path, either of any bytes. */
export function joinPath(directory: Buffer | string, ...parts: readonly (Buffer | string)[]): Buffer {
  const pieces = [directory, ...parts]
    .map((part) => (typeof part === "string" ? Buffer.from(part) : part))
    .filter((part) => part.length > 0);
  const slash = Buffer.from("/");
  return Buffer.concat(pieces.flatMap((piece, index) => (index === 0 || pieces[index - 1]?.at(-1) === 0x2f ? [piece] : [slash, piece])));
}

/** The text that globs are matched against: one character per byte where the name is no UTF-8. */
export function decodeForMatching(path: Buffer): string {
  return isUtf8(path) ? path.toString("utf8") : path.toString("latin1");
}
