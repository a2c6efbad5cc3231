import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Where this program is, and which version. The same from sources and from the compiled release. */
export interface Program {
  /** For worker processes. */
  readonly entry: string;
  readonly version: string;
}

export function loadProgram(): Program {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const parsed: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  const version = typeof parsed === "object" && parsed !== null && "version" in parsed ? String(parsed.version) : "unknown";
  return { entry: fileURLToPath(new URL(`../main.${extension}`, import.meta.url)), version };
}
