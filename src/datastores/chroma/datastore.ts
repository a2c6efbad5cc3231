import { HoldfastError } from "../../base/errors.ts";
import { prefixError } from "../../base/prefix-error.ts";
import type { Datastore, DriverContext, ProbeFacts, RestoreOptions, RestoreSession, RestoreTarget } from "../contract.ts";
import { ApiDatastore } from "./api-datastore.ts";
import { resolvePath } from "../trees/resolve-path.ts";
import { findDirectory } from "../volume.ts";
import { type DirectorySnapshot, dumpDirectory, probeDirectory, takeDirectorySnapshot } from "./dump-directory.ts";
import type { ChromaOptions } from "./options.ts";
import { DirectoryRestore } from "./restore-directory.ts";
import { type DirectoryOptions, hasPath, hasUrl } from "./source.ts";

export function createChromaDatastore(options: ChromaOptions, context: DriverContext): Datastore {
  if (hasPath(options)) return new DirectoryDatastore(options, context);
  if (hasUrl(options)) return new ApiDatastore(options, context);
  throw new HoldfastError("config-invalid", "a chroma datastore needs `path` or `url`");
}

/** A server's data directory on this machine. */
class DirectoryDatastore implements Datastore {
  readonly #options: DirectoryOptions;
  readonly #context: DriverContext;
  #taken: DirectorySnapshot | undefined;

  constructor(options: DirectoryOptions, context: DriverContext) {
    this.#options = options;
    this.#context = context;
  }

  async probe(signal: AbortSignal): Promise<ProbeFacts> {
    try {
      return await probeDirectory(this.#options, signal);
    } catch (error) {
      throw prefixError(`Cannot look at "${this.#context.name}"`, error);
    }
  }

  async snapshot(signal: AbortSignal): Promise<void> {
    this.#taken = await takeDirectorySnapshot(this.#options, this.#context, signal);
  }

  async *dump(signal: AbortSignal): ReturnType<Datastore["dump"]> {
    this.#taken ??= await takeDirectorySnapshot(this.#options, this.#context, signal);
    return yield* dumpDirectory(this.#taken, this.#options, this.#context, signal);
  }

  async openRestore(target: RestoreTarget, restoring: RestoreOptions, signal: AbortSignal): Promise<RestoreSession> {
    const place =
      target.kind === "original"
        ? await findDirectory(this.#options.path, signal)
        : { path: resolvePath(target.path), root: "may-move" as const };
    return new DirectoryRestore({ kind: target.kind, ...place }, restoring, this.#options, this.#context);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#taken?.[Symbol.asyncDispose]();
  }
}
