import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Note } from "../../base/note.ts";
import { createSignalLink } from "../../base/signal-link.ts";
import type { Datastore, DriverContext, DumpEntry } from "../contract.ts";
import { beginSave } from "./background-save.ts";
import { chooseMethod, createExplain, describeDelay, describeSaved, openForDump, reportBytes, yieldDump } from "./dump.ts";
import type { Endpoint } from "./endpoint.ts";
import type { RedisOptions } from "./options.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { streamReplication } from "./replication-stream.ts";
import { readServerSeconds } from "./server-facts.ts";

/** A server's data as it was at one time; it comes in the background, and `dump` waits for it. Closing gives up what has not come yet. */
export interface FixedRdb extends AsyncDisposable {
  readonly dump: Datastore["dump"];
}

/** Whole seconds are what a server dates its data by; its clock for that lags some milliseconds behind the one that it tells. */
const clockLagMs = 20;
const pollMs = 10;

/** Returns when the server has forked: what is written from then on is not in it. */
export async function openFixedRdb(options: RedisOptions, context: DriverContext, signal: AbortSignal): Promise<FixedRdb> {
  await using resources = new AsyncDisposableStack();
  const link = createSignalLink(signal);
  const ending = new AbortController();
  const limited = AbortSignal.any([link.signal, ending.signal]);
  let coming: { readonly notes: readonly Note[]; readonly body: Promise<DumpEntry["body"]> } | undefined;
  try {
    coming = await begin(options, context, resources, limited);
  } catch (error) {
    throw createExplain(context, limited)(error);
  }
  link.follow(undefined);
  // Nobody may ask for it.
  coming?.body.catch(() => undefined);
  const held = resources.move();
  const close = async (): Promise<void> => {
    ending.abort();
    await held.disposeAsync();
  };
  return {
    async *dump(inner) {
      link.follow(inner);
      const begun = coming && { notes: coming.notes, complete: () => coming.body };
      try {
        return yield* yieldDump(() => Promise.resolve(begun), { options, context }, inner);
      } finally {
        await close();
      }
    },
    [Symbol.asyncDispose]: close,
  };
}

async function begin(options: RedisOptions, context: DriverContext, resources: AsyncDisposableStack, signal: AbortSignal) {
  const found = await openForDump(options, resources, signal);
  if (found === undefined) return undefined;
  const { endpoint, connection } = found;
  context.progress({ phase: "saving", bytes: 0 });
  const { method, notes } = await chooseMethod(options, endpoint, connection, signal);
  if (method.kind === "bgsave") {
    const saving = await beginSave(connection, method.file, { timeoutMs: options.saveTimeout, later: "refused" }, signal);
    // At once: the name of the file goes to the next save.
    const saved = saving.finish(signal);
    resources.defer(async () => (await saved.catch(() => undefined))?.[Symbol.asyncDispose]());
    return { notes, body: saved.then(describeSaved) };
  }
  notes.push(...(await describeDelay(connection)));
  const path = join(context.stagingDir, "dump.rdb");
  const spooling = await beginSpooling(endpoint, { path, context, askedAtSeconds: await waitForNextSecond(connection, signal) }, signal);
  resources.defer(async () => {
    await spooling.body.catch(() => undefined);
    await rm(path, { force: true });
  });
  return { notes, body: spooling.body };
}

/** A snapshot that another replica has asked for is told from ours by its date, in seconds: so none of this second is taken. */
async function waitForNextSecond(connection: RedisConnection, signal: AbortSignal): Promise<number> {
  const first = await readServerSeconds(connection);
  for (let now = first; now === first; now = await readServerSeconds(connection)) await pause(pollMs, undefined, { signal });
  await pause(clockLagMs, undefined, { signal });
  return first + 1;
}

/**
 * Reads on into a file, so that the server need not wait for us: it gives up a replica that does not read.
 * @returns when the first bytes have come
 */
async function beginSpooling(
  endpoint: Endpoint,
  { path, context, askedAtSeconds }: { readonly path: string; readonly context: DriverContext; readonly askedAtSeconds: number },
  signal: AbortSignal,
): Promise<{ readonly body: Promise<DumpEntry["body"]> }> {
  const started = Promise.withResolvers<undefined>();
  const spool = async (): Promise<DumpEntry["body"]> => {
    await using file = await open(path, "wx", 0o600);
    let bytes = 0;
    for await (const chunk of reportBytes(streamReplication(endpoint, askedAtSeconds, signal), context)) {
      await file.writeFile(chunk);
      bytes += chunk.length;
      started.resolve(undefined);
    }
    started.resolve(undefined);
    return { kind: "file", path, bytes };
  };
  const body = spool();
  body.catch((error: unknown) => started.reject(error));
  await started.promise;
  return { body };
}
