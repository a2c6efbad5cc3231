import { access, constants } from "node:fs/promises";
import { dirname } from "node:path";
import { emptyContents } from "../../base/contents.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { prefixError } from "../../base/prefix-error.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { DriverContext, DumpEntry, DumpFacts } from "../contract.ts";
import { beginSave, locateRdb, type SavedRdb } from "./background-save.ts";
import { openConnection } from "./connection.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { describeEndpoint, isLocal, resolveEndpoint, type Endpoint } from "./endpoint.ts";
import { explainRedisError } from "./explain-error.ts";
import type { RedisOptions } from "./options.ts";
import { streamReplication } from "./replication-stream.ts";
import { parseKeyspace, readInfo, readServerSeconds, readSetting } from "./server-facts.ts";
import { describeSource } from "./source-address.ts";

/** How a dump is made: `file` is the server's RDB as this machine sees it. */
export type DumpMethod = { readonly kind: "bgsave"; readonly file: string } | { readonly kind: "replication" };

type Body = DumpEntry["body"];

/** A dump that has been asked for. */
export interface BegunServerDump {
  readonly notes: readonly Note[];
  /** Its bytes; what they need is given to `resources`. */
  complete(resources: AsyncDisposableStack, signal: AbortSignal): Promise<Body>;
}

/** Yields the RDB as the one file of the member. What it holds is read from what was stored. */
export async function* dumpServer(
  options: RedisOptions,
  context: DriverContext,
  signal: AbortSignal,
): AsyncGenerator<DumpEntry, DumpFacts, undefined> {
  await using resources = new AsyncDisposableStack();
  return yield* yieldDump(() => beginDump(options, context, resources, signal), { options, context }, signal);
}

/** The dump that has been begun, undefined for an optional server that is not there, as the one entry of the member. */
export async function* yieldDump(
  begin: () => Promise<BegunServerDump | undefined>,
  { options, context }: { readonly options: RedisOptions; readonly context: DriverContext },
  signal: AbortSignal,
): AsyncGenerator<DumpEntry, DumpFacts, undefined> {
  const explain = createExplain(context, signal);
  await using resources = new AsyncDisposableStack();
  let begun;
  let body: Body | undefined;
  try {
    begun = await begin();
    body = await begun?.complete(resources, signal);
  } catch (error) {
    throw explain(error);
  }
  if (begun === undefined || body === undefined) return { contents: emptyContents, checked: true, notes: [], absent: true };
  const { kind } = body;
  const stream = kind === "stream" ? body.open : undefined;
  yield {
    name: options.entry,
    form: "file",
    body: stream === undefined ? body : { kind: "stream", open: (inner) => withErrors(stream(inner), explain) },
    sourcePath: describeSource(options),
    finish: () => Promise.resolve([]),
  };
  return { checked: false, notes: begun.notes, absent: false };
}

export function createExplain(context: DriverContext, signal: AbortSignal): (error: unknown) => unknown {
  return (error) => {
    if (signal.aborted) return createAbortError(signal, `The dump of "${context.name}" was stopped`);
    return prefixError(`Cannot dump "${context.name}"`, explainRedisError(error, "its address"));
  };
}

async function* withErrors(
  bytes: AsyncIterable<Uint8Array>,
  explain: (error: unknown) => unknown,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* bytes;
  } catch (error) {
    throw explain(error);
  }
}

async function beginDump(
  options: RedisOptions,
  context: DriverContext,
  resources: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<BegunServerDump | undefined> {
  const found = await openForDump(options, resources, signal);
  if (found === undefined) return undefined;
  const { endpoint, connection } = found;
  context.progress({ phase: "saving", bytes: 0 });
  const { method, notes } = await chooseMethod(options, endpoint, connection, signal);
  if (method.kind === "bgsave") {
    const saving = await beginSave(connection, method.file, { timeoutMs: options.saveTimeout, later: "good" }, signal);
    return { notes, complete: async (held, inner) => describeSaved(held.use(await saving.finish(inner))) };
  }
  const askedAtSeconds = await readServerSeconds(connection);
  notes.push(...(await describeDelay(connection)));
  return {
    notes,
    complete: () =>
      Promise.resolve({
        kind: "stream" as const,
        open: (inner: AbortSignal) => reportBytes(streamReplication(endpoint, askedAtSeconds, inner), context),
      }),
  };
}

/** The file that the server has saved for us, even when its name has gone to a later one: opened anew by its descriptor. */
export function describeSaved({ file, bytes }: SavedRdb): Body {
  return { kind: "file", path: `/proc/${process.pid}/fd/${file.fd}`, bytes };
}

/** Undefined for an optional server that is not there, or holds nothing. */
export async function openForDump(options: RedisOptions, resources: AsyncDisposableStack, signal: AbortSignal) {
  const endpoint = resolveEndpoint(options);
  const connection = await openUnlessAway(options, endpoint, signal);
  if (connection === undefined) return undefined;
  resources.use(connection);
  await refuseStale(connection);
  return options.optional && (await isEmpty(connection)) ? undefined : { endpoint, connection };
}

export async function* reportBytes(chunks: AsyncIterable<Uint8Array>, context: DriverContext): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    context.progress({ phase: "dumping", bytes });
    yield chunk;
  }
}

/** Undefined for an optional server that is not there. */
export async function openUnlessAway(options: RedisOptions, endpoint: Endpoint, signal: AbortSignal): Promise<RedisConnection | undefined> {
  try {
    return await openConnection(endpoint, options.waitFor, signal);
  } catch (error) {
    if (options.optional && error instanceof HoldfastError && error.code === "source-missing") return undefined;
    throw error;
  }
}

/**
 * A replica whose master is away has what it had then: nothing at all, where it has never got its data.
 * @throws source-locked
 */
export async function refuseStale(connection: RedisConnection): Promise<void> {
  const info = await readInfo(connection, "replication");
  if (info.get("role") !== "slave" || info.get("master_link_status") === "up") return;
  const master = `${info.get("master_host") ?? ""}:${info.get("master_port") ?? ""}`;
  const seconds = Number(info.get("master_link_down_since_seconds") ?? -1);
  const since = seconds >= 0 ? `for ${seconds} s` : "since it was started";
  throw new HoldfastError(
    "source-locked",
    `the server at ${connection.where} is a replica that has not heard of its master, ${master}, ${since}`,
    {
      hint: "Back the master up; or make this server a master (REPLICAOF NO ONE) where the former one is gone for good.",
      retryable: true,
    },
  );
}

/** Neither keys nor functions. */
export async function isEmpty(connection: RedisConnection): Promise<boolean> {
  const info = await readInfo(connection, "keyspace");
  if (parseKeyspace(info).size > 0) return false;
  const functions = await connection.call("FUNCTION", "LIST").catch(() => null);
  return !Array.isArray(functions) || functions.length === 0;
}

/** @throws config-invalid for bgsave where no file is known */
export async function chooseMethod(
  options: RedisOptions,
  endpoint: Endpoint,
  connection: RedisConnection,
  signal: AbortSignal,
): Promise<{ readonly method: DumpMethod; readonly notes: Note[] }> {
  signal.throwIfAborted();
  if (options.method === "replication") return { method: { kind: "replication" }, notes: [] };
  const sees = options.rdbPath !== undefined || isLocal(endpoint);
  const file = sees ? await locateRdb(connection, options.rdbPath).catch(ignoreWhenAuto(options)) : undefined;
  if (options.method === "bgsave") {
    if (file !== undefined) return { method: { kind: "bgsave", file }, notes: [] };
    throw new HoldfastError("config-invalid", `method: bgsave: where the server at ${describeEndpoint(endpoint)} saves is not known`, {
      hint: "Set rdbPath to where this machine sees its RDB file, or method: replication.",
    });
  }
  if (file !== undefined && (await isReadable(file))) return { method: { kind: "bgsave", file }, notes: [] };
  return { method: { kind: "replication" }, notes: [] };
}

/** A user who may not read settings is no failure where there is another way. */
function ignoreWhenAuto(options: RedisOptions): (error: unknown) => undefined {
  return (error) => {
    if (options.method === "auto") return undefined;
    throw error;
  };
}

/** Or would be, once the server has saved for the first time. */
async function isReadable(path: string): Promise<boolean> {
  const may = (file: string, mode: number): Promise<string> =>
    access(file, mode).then(
      () => "yes",
      (error: unknown) => readErrno(error) ?? "no",
    );
  const answer = await may(path, constants.R_OK);
  return answer === "yes" || (answer === "ENOENT" && (await may(dirname(path), constants.R_OK | constants.X_OK)) === "yes");
}

export async function describeDelay(connection: RedisConnection): Promise<readonly Note[]> {
  const seconds = Number(await readSetting(connection, "repl-diskless-sync-delay").catch(() => undefined));
  const diskless = await readSetting(connection, "repl-diskless-sync").catch(() => undefined);
  if (diskless !== "yes" || !(seconds > 0)) return [];
  const message = `The server waits ${seconds} s for other replicas before it sends its data (repl-diskless-sync-delay)`;
  return [{ level: "info", code: "sync-delay", message }];
}
