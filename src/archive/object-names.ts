import { createHash } from "node:crypto";
import { infoFileNames } from "./info-files.ts";

const reserved: ReadonlySet<string> = new Set(["manifest.json", "RESTORE.txt", ...infoFileNames]);
const indexEnding = ".index.jsonl";
const nameLimitBytes = 255;

/**
 * Gives the entries of a backup the names under which they are stored: their own where that is free, else below a folder named like
 * their datastore. No name is that of a generated text, of another entry, or of a folder that another entry needs.
 */
export class ObjectNames {
  readonly #layout: "directory" | "archive";
  readonly #files = new Set<string>();
  readonly #folders = new Set<string>();

  constructor(layout: "directory" | "archive") {
    this.#layout = layout;
  }

  /** @param suffix of the compression; archives have none, their entries are compressed where they stand */
  reserve(datastore: string, entry: string, suffix: string): string {
    for (let attempt = 0; ; attempt += 1) {
      const folder = ["", `${datastore}/`][attempt] ?? `${datastore}-${attempt}/`;
      const object = this.#makeStorable(folder + entry, suffix);
      if (this.#take(object)) return object;
    }
  }

  #take(object: string): boolean {
    const parents = listParents(object);
    const top = parents[0] ?? object;
    if (reserved.has(top) || top.endsWith(indexEnding)) return false;
    if (this.#files.has(object) || this.#folders.has(object) || parents.some((parent) => this.#files.has(parent))) return false;
    this.#files.add(object);
    for (const parent of parents) this.#folders.add(parent);
    return true;
  }

  /** In a directory objects are files of the destination: none may be hidden, longer than a file name can be, or look like a manifest or an events file. */
  #makeStorable(path: string, suffix: string): string {
    if (this.#layout === "archive") return path + suffix;
    const parts = path.split("/").map((part) => (part.startsWith(".") ? `_${part}` : part));
    const last = `${parts.pop() ?? ""}${suffix}`;
    return [
      ...parts.map((part) => shorten(part, "")),
      shorten(/(^|\.)(manifest\.json|events\.jsonl)$/.test(last) ? `${last}.file` : last, suffix),
    ].join("/");
  }
}

function shorten(name: string, suffix: string): string {
  if (Buffer.byteLength(name) <= nameLimitBytes) return name;
  const hash = createHash("sha256").update(name).digest("hex").slice(0, 16);
  // Cut between characters.
  const kept = new TextDecoder().decode(Buffer.from(name).subarray(0, 200)).replace(/\uFFFD*$/, "");
  return `${kept}~${hash}${suffix}`;
}

function listParents(path: string): readonly string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join("/"));
}
