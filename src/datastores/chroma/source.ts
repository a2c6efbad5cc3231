import { basename } from "node:path";
import type { ConcurrencyKey } from "../../base/concurrency-key.ts";
import { HoldfastError } from "../../base/errors.ts";
import { pickFields } from "../../base/pick-defined.ts";
import { type Directory, findDirectory, type FoundDirectory, identifyDirectory } from "../volume.ts";
import type { ServerOptions } from "./api-datastore.ts";
import type { ChromaOptions } from "./options.ts";

export type DirectoryOptions = ChromaOptions & { readonly path: Directory };

export function hasPath(options: ChromaOptions): options is DirectoryOptions {
  return options.path !== undefined;
}

export function hasUrl(options: ChromaOptions): options is ServerOptions {
  return options.url !== undefined;
}

/** Where the data directory is; undefined for an optional volume that is not there. */
export async function findData({ path, optional }: DirectoryOptions, signal: AbortSignal): Promise<FoundDirectory | undefined> {
  try {
    return await findDirectory(path, signal);
  } catch (error) {
    if (optional && error instanceof HoldfastError && error.code === "source-missing") return undefined;
    throw error;
  }
}

/** A directory by its path; a server that is only asked, by its address. That two addresses are one server cannot be known. */
export async function identifyChroma(options: ChromaOptions, signal: AbortSignal): Promise<ConcurrencyKey> {
  if (hasPath(options)) {
    const { name, paths } = await identifyDirectory(options.path, signal);
    return { id: `chroma:${name}`, paths };
  }
  const { hostname, port, protocol } = new URL(options.url ?? "");
  const host = /^(localhost|127\..*|\[::1\])$/.test(hostname) ? "localhost" : hostname;
  return { id: `chroma:${host}:${port === "" ? (protocol === "https:" ? 443 : 80) : port}`, paths: [] };
}

/** The options by which a backup is restored to where it came from. */
export function deriveOptions(
  entries: readonly { readonly name: string; readonly form: "file" | "tree"; readonly sourcePath: string }[],
  own?: unknown,
): unknown {
  const [first] = entries;
  if (first === undefined)
    throw new HoldfastError("config-missing", "Cannot tell where an empty backup came from", { hint: "Give the config of the datastore." });
  if (first.form === "tree") return { ...pickFields(own, ["server"]), path: first.sourcePath, entry: basename(first.name, ".tar") };
  const { origin, pathname, searchParams } = new URL(first.sourcePath);
  const named = ["tenant", "database"].flatMap((key) => (searchParams.has(key) ? [[key, searchParams.get(key)]] : []));
  return {
    ...pickFields(own, ["server"]),
    url: `${origin}${pathname}`,
    ...Object.fromEntries(named),
    entry: basename(first.name, ".jsonl"),
  };
}
