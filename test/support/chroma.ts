import { existsSync, mkdirSync } from "node:fs";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { makeTestDirectory } from "./datastore.ts";
import { findFreePort } from "./free-port.ts";

/** The server that scripts/setup --test installs. */
export const chromaProgram = join(import.meta.dirname, "../../.runtime/chroma/bin/chroma");

export interface ChromaServer extends AsyncDisposable {
  readonly url: string;
  readonly data: string;
  readonly pid: number | undefined;
  call(method: string, path: string, body?: unknown): Promise<unknown>;
  start(): Promise<void>;
  /** In good order, or by force. */
  stop(signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
}

export const collectionsPath = "/tenants/default_tenant/databases/default_database/collections";

/** Calls version 2 of the API of a server that runs, or will. */
export function createChromaCaller(url: string): ChromaServer["call"] {
  return async (method, path, body) => {
    const response = await fetch(`${url}/api/v2${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? null : (JSON.parse(text) as unknown);
  };
}

/** A private server on a free port. */
export async function openChroma(data: string): Promise<ChromaServer> {
  if (!existsSync(chromaProgram)) throw new Error(`${chromaProgram} is missing: run scripts/setup --test`);
  mkdirSync(data, { recursive: true });
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;
  const call = createChromaCaller(url);
  const server: ChromaServer = {
    url,
    data,
    get pid() {
      return child?.pid;
    },
    call,
    async start() {
      child = spawn(chromaProgram, ["run", "--host", "127.0.0.1", "--port", String(port), "--path", data], { stdio: "ignore" });
      for (let tries = 0; ; tries += 1) {
        try {
          await call("GET", "/heartbeat");
          return;
        } catch (error) {
          if (tries > 400 || child.exitCode !== null) throw error;
        }
        await pause(25);
      }
    },
    async stop(signal = "SIGKILL") {
      if (child === undefined) return;
      const ended = once(child, "close");
      child.kill(signal);
      await ended;
      child = undefined;
    },
    [Symbol.asyncDispose]: () => server.stop(),
  };
  await server.start();
  return server;
}

/** One for a test, gone with it, and the directory that its data is in. */
export async function openChromaFor(t: TestContext): Promise<{ readonly directory: string; readonly server: ChromaServer }> {
  const directory = makeTestDirectory(t);
  const server = await openChroma(join(directory, "data"));
  t.after(() => server[Symbol.asyncDispose]());
  return { directory, server };
}

/** Numbers that are the same for the same seed, from -1 to 1. */
export function createNumbers(seed: number): () => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

export interface Filling {
  readonly collection: string;
  readonly from: number;
  readonly count: number;
  readonly dimension?: number;
  /** How many records are flushed into the index at once, where the collection is made; 1,000 by default. */
  readonly flushEach?: number;
}

/** Adds records; gives the collection's id. */
export async function fillCollection(
  server: Pick<ChromaServer, "call">,
  { collection, from, count, dimension = 64, flushEach }: Filling,
): Promise<string> {
  const { id } = (await server.call("POST", collectionsPath, {
    name: collection,
    get_or_create: true,
    ...(flushEach === undefined ? {} : { configuration: { hnsw: { sync_threshold: flushEach, batch_size: Math.min(100, flushEach) } } }),
  })) as { readonly id: string };
  for (let at = from; at < from + count; at += 250) {
    const indexes = Array.from({ length: Math.min(250, from + count - at) }, (_, offset) => at + offset);
    await server.call("POST", `${collectionsPath}/${id}/add`, {
      ids: indexes.map((index) => `id${index}`),
      embeddings: indexes.map((index) => createVector(index, dimension)),
      documents: indexes.map((index) => `document ${index} of ${collection}`),
      metadatas: indexes.map((index) => (index % 3 === 0 ? null : { number: index, half: index / 2, word: "x", odd: index % 2 === 1 })),
    });
  }
  return id;
}

export function createVector(index: number, dimension: number): number[] {
  const next = createNumbers(index + 1);
  return Array.from({ length: dimension }, next);
}

export async function countRecords(server: Pick<ChromaServer, "call">, id: string): Promise<number> {
  return Number(await server.call("GET", `${collectionsPath}/${id}/count`));
}
