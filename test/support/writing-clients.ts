import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { Client } from "pg";
import { waitUntil } from "./wait-until.ts";

/** A write that a server has acknowledged, with the generation of the data that it went into, as the same transaction saw it. */
interface Acknowledged {
  readonly number: number;
  readonly generation: string;
}

/** A client that writes all the time and connects again when it is cut off, as applications do. */
export interface WritingClient extends AsyncDisposable {
  /** In the order in which they were acknowledged. */
  readonly acknowledged: readonly Acknowledged[];
  /** What it was told instead, each once. */
  readonly refusals: ReadonlySet<string>;
  /** Resolves when so many more writes have been acknowledged. */
  waitForWrites(count: number): Promise<void>;
}

/** One way to a server; `write` throws when the write is not acknowledged. */
interface Way {
  write(number: number): Promise<string>;
  close(): Promise<void>;
}

const againMs = 5;

/**
 * @param first number; each attempt has the next one, whether or not it was acknowledged
 * @param everyMs how long it rests after each write
 */
export async function openWritingClient(connect: () => Promise<Way>, first: number, everyMs = 0): Promise<WritingClient> {
  const acknowledged: Acknowledged[] = [];
  const refusals = new Set<string>();
  const state = { isStopped: false };
  const refuse = async (error: unknown): Promise<undefined> => {
    refusals.add(error instanceof Error ? [readField(error, "code"), error.message, readField(error, "detail")].join(" ") : String(error));
    await pause(againMs);
    return undefined;
  };
  const running = (async () => {
    let way: Way | undefined;
    for (let number = first; !state.isStopped; number += 1) {
      way ??= await connect().catch(refuse);
      if (way === undefined) continue;
      const generation = await way.write(number).catch(refuse);
      if (generation !== undefined) {
        acknowledged.push({ number, generation });
        if (everyMs > 0) await pause(everyMs);
        continue;
      }
      await way.close();
      way = undefined;
    }
    await way?.close();
  })();
  return {
    acknowledged,
    refusals,
    async waitForWrites(count) {
      const wanted = acknowledged.length + count;
      await waitUntil(`${count} more acknowledged writes, after ${[...refusals].join("; ")}`, () => acknowledged.length >= wanted, {
        pollMs: 5,
      });
    },
    async [Symbol.asyncDispose]() {
      state.isStopped = true;
      await running;
    },
  };
}

function readField(error: Error, name: "code" | "detail"): string {
  const value = (error as Error & Readonly<Partial<Record<string, unknown>>>)[name];
  return typeof value === "string" ? value : "";
}

/** Writes into the table `written`, each time after a look at the one row of `generation`. */
export async function openPostgresWriter(
  connection: Readonly<Record<string, unknown>>,
  first: number,
  everyMs = 0,
): Promise<WritingClient> {
  const connect = async (): Promise<Way> => {
    const client = new Client({ ...connection, connectionTimeoutMillis: 10_000 });
    client.on("error", () => undefined);
    const close = async (): Promise<void> => {
      await client.end().catch(() => undefined);
    };
    try {
      await client.connect();
    } catch (error) {
      await close();
      throw error;
    }
    return {
      close,
      async write(number) {
        await client.query("BEGIN");
        const { rows } = await client.query<{ name: string }>("SELECT name FROM generation");
        await client.query("INSERT INTO written VALUES ($1, $2)", [number, rows[0]?.name]);
        await client.query("COMMIT");
        return rows[0]?.name ?? "none";
      },
    };
  };
  return await openWritingClient(connect, first, everyMs);
}

/** Sets keys `written:N`, each time together with a look at the key `generation`. */
export async function openRedisWriter(socket: string, first: number, password?: string, everyMs = 0): Promise<WritingClient> {
  const connect = async (): Promise<Way> => {
    const client = new Redis({
      ...(password === undefined ? {} : { password }),
      path: socket,
      lazyConnect: true,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
    });
    client.on("error", () => undefined);
    await client.connect();
    return {
      close: async () => client.disconnect(),
      async write(number) {
        const answers = await client.multi().get("generation").set(`written:${number}`, "1").exec();
        const [failure] = answers?.find(([error]) => error !== null) ?? [];
        if (answers === null || failure) throw failure ?? new Error("not executed");
        return String(answers[0]?.[1]);
      },
    };
  };
  return await openWritingClient(connect, first, everyMs);
}
