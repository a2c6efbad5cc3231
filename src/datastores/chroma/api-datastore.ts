import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { emptyContents } from "../../base/contents.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { prefixError } from "../../base/prefix-error.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { Datastore, DriverContext, ProbeFacts, RestoreOptions, RestoreSession, RestoreTarget } from "../contract.ts";
import { countRecords, exportDatabase, listCollections, ownName } from "./api-export.ts";
import { ChromaClient } from "./client.ts";
import type { ChromaOptions } from "./options.ts";
import { ApiRestore } from "./restore-api.ts";
import { ExportFileRestore } from "./restore-export-file.ts";
import { createNoProgramError, createPrivateName, findServerProgram, openScratchServer } from "./scratch-server.ts";

export type ServerOptions = ChromaOptions & { readonly url: string };

/** Bytes of a number in an export, and of what stands beside the vector of a record, as a guess. */
const numberBytes = 12;
const recordBytes = 500;

/** A database of a server that is reached by its API alone. */
export class ApiDatastore implements Datastore {
  readonly #options: ServerOptions;
  readonly #context: DriverContext;
  readonly #client: ChromaClient;
  readonly #resources = new AsyncDisposableStack();

  constructor(options: ServerOptions, context: DriverContext) {
    this.#options = options;
    this.#context = context;
    this.#client = new ChromaClient(options);
  }

  async probe(signal: AbortSignal): Promise<ProbeFacts> {
    try {
      const bytes = await this.#measure(signal);
      if (bytes === undefined || (bytes === 0 && this.#options.optional && !this.#options.allowEmpty))
        return { summary: bytes === 0 ? "no collections" : "no server", estimatedBytes: 0, stagingBytes: 0, absent: true, notes: [] };
      return { summary: `Chroma server, about ${describeBytes(bytes)}`, estimatedBytes: bytes, stagingBytes: 0, absent: false, notes: [] };
    } catch (error) {
      throw prefixError(`Cannot look at "${this.#context.name}"`, error);
    }
  }

  async *dump(signal: AbortSignal): ReturnType<Datastore["dump"]> {
    const { url, tenant, database, entry, allowEmpty, optional } = this.#options;
    const explain = (error: unknown): unknown =>
      signal.aborted ? createAbortError(signal, "The dump was stopped") : prefixError(`Cannot dump "${this.#context.name}"`, error);
    let bytes: number | undefined;
    try {
      bytes = await this.#measure(signal);
    } catch (error) {
      throw explain(error);
    }
    if (bytes === undefined || (bytes === 0 && optional && !allowEmpty))
      return { contents: emptyContents, checked: true, notes: [], absent: true };
    if (bytes === 0 && !allowEmpty)
      throw new HoldfastError("source-empty", `Cannot dump "${this.#context.name}": there are no collections in ${tenant}/${database}`, {
        hint: "Correct `tenant` and `database`; set `allowEmpty: true` where that is normal.",
      });
    const notes: Note[] = [
      {
        level: "info",
        code: "live",
        message: "Exported through the API while the server worked: each record is whole, all of them are of no one point in time",
      },
    ];
    const [client, { progress }, totalBytes] = [this.#client, this.#context, bytes];
    async function* open(inner: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
      let done = 0;
      try {
        for await (const line of exportDatabase(client, { tenant, database }, notes, AbortSignal.any([signal, inner]))) {
          const piece = Buffer.from(line);
          done += piece.length;
          progress({ phase: "read", bytes: done, totalBytes: Math.max(done, totalBytes) });
          yield piece;
        }
      } catch (error) {
        throw explain(error);
      }
    }
    const source = new URL(url);
    for (const [key, value] of Object.entries({ tenant, database })) source.searchParams.set(key, value);
    yield {
      name: `${entry ?? this.#context.name}.jsonl`,
      form: "file",
      body: { kind: "stream", open },
      sourcePath: source.href,
      finish: () => Promise.resolve(notes),
    };
    return { checked: false, notes: [], absent: false };
  }

  async openRestore(target: RestoreTarget, restoring: RestoreOptions, signal: AbortSignal): Promise<RestoreSession> {
    const { tenant, database, url, samples, waitFor } = this.#options;
    try {
      if (target.kind === "original") {
        await this.#client.waitUntilUp(waitFor, signal);
        return new ApiRestore({ client: this.#client, url, tenant, database, samples }, restoring, this.#context);
      }
      if (target.kind === "directory") return new ExportFileRestore(target.path);
      const client = await this.#openPrivate(target.path, signal);
      const place = { tenant: "default_tenant", database: "default_database" };
      return new ApiRestore({ client, ...place, samples }, { absent: restoring.absent }, this.#context);
    } catch (error) {
      throw prefixError(`Cannot restore "${this.#context.name}"`, error, { "source-unreachable": "restore-failed" });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  /** Estimated bytes; 0 without collections; undefined where an optional server is not there. @throws source-missing */
  async #measure(signal: AbortSignal): Promise<number | undefined> {
    const { optional, waitFor } = this.#options;
    try {
      await this.#client.waitUntilUp(optional ? 0 : waitFor, signal);
    } catch (error) {
      const isAway = error instanceof HoldfastError && error.code === "source-unreachable";
      if (isAway && optional && /ECONNREFUSED/.test(error.message)) return undefined;
      throw isAway ? new HoldfastError("source-missing", error.message, { hint: error.hint ?? "", cause: error }) : error;
    }
    let bytes = 0;
    for (const { id, name, dimension } of await this.#listCollections(signal)) {
      if (ownName.test(name)) continue;
      bytes += recordBytes + (await countRecords(this.#client, this.#options, id, signal)) * (recordBytes + (dimension ?? 0) * numberBytes);
    }
    return bytes;
  }

  async #listCollections(signal: AbortSignal): ReturnType<typeof listCollections> {
    try {
      return await listCollections(this.#client, this.#options, signal);
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== "unknown-name") throw error;
      const { tenant, database } = this.#options;
      throw new HoldfastError(error.code, error.message, {
        hint: `Correct \`tenant\` and \`database\`: the server has no ${tenant}/${database}.`,
        cause: error,
      });
    }
  }

  /** A server of our own that keeps its data below the directory. */
  async #openPrivate(path: string, signal: AbortSignal): Promise<ChromaClient> {
    const program = findServerProgram(this.#options);
    if (program === undefined) throw createNoProgramError("load the export into");
    const root = join(this.#context.stagingDir, createPrivateName("empty"));
    await mkdir(root, { mode: 0o700 });
    await mkdir(path, { recursive: true, mode: 0o700 });
    const server = this.#resources.use(await openScratchServer({ program, root, stagingDir: path }, signal));
    return server.client;
  }
}
