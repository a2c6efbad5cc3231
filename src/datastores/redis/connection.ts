import { setTimeout as pause } from "node:timers/promises";
import type { Redis } from "ioredis";
import { HoldfastError } from "../../base/errors.ts";
import { createAbortError } from "../../base/subprocess.ts";
import { openCliConnection } from "./cli-connection.ts";
import { describeEndpoint, readTlsFiles, type Endpoint } from "./endpoint.ts";
import { explainRedisError } from "./explain-error.ts";
import type { RedisConnection, Reply } from "./redis-connection.ts";

const connectMs = 10_000;
const commandMs = 120_000;
const pollMs = 50;

/**
 * Connects, and waits for a server that does not answer yet or is loading, for a time.
 * @throws source-missing, source-locked (still loading), source-unreadable, cancelled
 */
export async function openConnection(endpoint: Endpoint, waitForMs: number, signal: AbortSignal): Promise<RedisConnection> {
  const limitMs = performance.now() + waitForMs;
  for (;;) {
    if (signal.aborted) throw createAbortError(signal, "the connection was given up");
    try {
      return await connectOnce(endpoint, signal);
    } catch (error) {
      if (signal.aborted) throw createAbortError(signal, "the connection was given up");
      const mayCome = error instanceof HoldfastError && (error.code === "source-missing" || error.code === "source-locked");
      if (!mayCome || performance.now() >= limitMs) throw error;
    }
    await pause(pollMs, undefined, { signal }).catch(() => undefined);
  }
}

async function connectOnce(endpoint: Endpoint, signal: AbortSignal): Promise<RedisConnection> {
  await using resources = new AsyncDisposableStack();
  const connection = resources.use(
    endpoint.via === undefined ? await openDirectConnection(endpoint, signal) : openCliConnection(endpoint, signal),
  );
  // A server that is loading takes connections, and refuses commands.
  await connection.call("PING");
  resources.move();
  return connection;
}

async function openDirectConnection(endpoint: Endpoint, signal: AbortSignal): Promise<RedisConnection> {
  const where = describeEndpoint(endpoint);
  // Loaded by whoever connects: every command line and every worker has this file.
  const { Redis: Client } = await import("ioredis");
  const client = new Client(await createClientOptions(endpoint));
  let reason: Error | undefined;
  client.on("error", (error: Error) => {
    reason ??= error;
  });
  const onAbort = (): void => client.disconnect();
  signal.addEventListener("abort", onAbort, { once: true });
  const explain = (error: unknown): unknown => {
    if (signal.aborted) return createAbortError(signal, "the connection was given up");
    // The client says "Connection is closed" for everything; why, its first error event has told.
    const told = error instanceof Error && /Connection is closed/.test(error.message) ? (reason ?? error) : error;
    return explainRedisError(told, where);
  };
  try {
    await client.connect();
  } catch (error) {
    client.disconnect();
    signal.removeEventListener("abort", onAbort);
    throw explain(error);
  }
  return {
    where,
    localAddress: readLocalAddress(client),
    async call(name = "", ...args) {
      try {
        return (await client.call(name, ...args)) as Reply;
      } catch (error) {
        throw explain(error);
      }
    },
    async [Symbol.asyncDispose]() {
      signal.removeEventListener("abort", onAbort);
      await closeClient(client);
    },
  };
}

/** Its socket is gone when this returns. */
async function closeClient(client: Redis): Promise<void> {
  if (client.status === "end") return;
  const ended = new Promise<void>((resolve) => client.once("end", resolve));
  client.disconnect();
  await ended;
}

async function createClientOptions({ place, user, password, tls }: Endpoint) {
  return {
    lazyConnect: true,
    // Whether to try again is decided above, by what went wrong.
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    enableOfflineQueue: true,
    autoResendUnfulfilledCommands: false,
    protocol: 2 as const,
    connectTimeout: connectMs,
    commandTimeout: commandMs,
    ...("socket" in place ? { path: place.socket } : place),
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password: password.reveal() }),
    ...(tls === undefined ? {} : { tls: { ...("host" in place ? { host: place.host } : {}), ...(await readTlsFiles(tls)) } }),
  };
}

function readLocalAddress(client: Redis): string | undefined {
  const stream: unknown = client.stream;
  if (typeof stream !== "object" || stream === null || !("localAddress" in stream)) return undefined;
  return typeof stream.localAddress === "string" ? stream.localAddress.replace(/^::ffff:/, "") : undefined;
}
