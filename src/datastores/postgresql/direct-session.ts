import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import type { Client, ClientConfig } from "pg";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import { feedBytes } from "../../base/feed-bytes.ts";
import { createAbortError } from "../../base/subprocess.ts";
import { classifyError } from "./classify-error.ts";
import { describeUser, type Access, type Connection } from "./connection.ts";
import { isPooled } from "./pooler.ts";
import type { Row, SqlSession } from "./sql-session.ts";

/** Settings of libpq that this module knows; a connection with others is psql's. */
const known: ReadonlySet<string> = new Set(["sslmode", "sslrootcert", "sslcert", "sslkey", "application_name", "connect_timeout"]);
const connectTimeoutMs = 10_000;

/** A session that rows can be sent through. */
export interface RowSession extends SqlSession {
  /** The data of `COPY … FROM STDIN`; resolves when the server has taken all of it. Where that or the body fails the session is of no use. */
  copyIn(sql: string, body: AsyncIterable<Uint8Array>): Promise<void>;
}

/** True where everything that is needed to connect is known here: nothing that libpq would look up in files or from the account. */
export function canConnectDirectly(access: Access): boolean {
  return access.connection.password !== undefined && isKnown(access);
}

function isKnown({ connection: { host, port, settings }, via, identity }: Access): boolean {
  if (via !== undefined || identity !== null || host === undefined) return false;
  if (host.includes(",") || port?.includes(",") === true) return false;
  return (
    Object.keys(settings).every((name) => known.has(name)) && !["allow", "prefer"].includes(settings["sslmode"] ?? defaultSslMode(host))
  );
}

/** libpq prefers TLS where a network lies between. */
function defaultSslMode(host: string): string {
  return isLocal(host) ? "disable" : "prefer";
}

function isLocal(host: string): boolean {
  return host.startsWith("/") || host === "localhost" || host === "::1" || host.startsWith("127.");
}

/**
 * A session for the rows of a restore, whose commits need not wait for the disk, as those of the tools that load. Undefined where there is none
 * to be had: psql can do what it would.
 */
export async function openRowSession(access: Access, signal: AbortSignal): Promise<RowSession | undefined> {
  const { connection } = access;
  const asksNone = connection.password === undefined && connection.host?.startsWith("/") === true;
  if (!canConnectDirectly(access) && !(asksNone && isKnown(access))) return undefined;
  const settings = { application_name: "holdfast rows", ...connection.settings };
  try {
    const session = await openDirectSession({ ...access, connection: { ...connection, settings } }, signal);
    try {
      if (!(await isPooled(session))) {
        await session.query("SET synchronous_commit = off");
        return session;
      }
    } catch (error) {
      await session[Symbol.asyncDispose]();
      throw error;
    }
    await session[Symbol.asyncDispose]();
  } catch (error) {
    if (signal.aborted) throw error;
  }
  return undefined;
}

/** Nothing is taken from our own environment. Throws unclassified errors. */
export async function openDirectSession(access: Access, signal: AbortSignal): Promise<RowSession> {
  if (signal.aborted) throw createAbortError(signal, "The connection was given up");
  const { connection } = access;
  const user = describeUser(access);
  // Loaded by whoever connects: every command line and every worker has this file.
  const { Client: PgClient } = await import("pg");
  const client = new PgClient({
    host: connection.host,
    port: Number(connection.port ?? 5432),
    user,
    // What is absent would be taken from our environment.
    password: connection.password?.reveal() ?? (() => Promise.reject(new Error("the server asks for a password"))),
    database: connection.database ?? user,
    ssl: await readTls(connection),
    application_name: connection.settings["application_name"] ?? "holdfast",
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    // Values as the server writes them.
    types: { getTypeParser: () => (value: string) => value },
  });
  const lost: LostConnection = { error: undefined };
  // Without a listener a connection that ends while it is idle would end the process. Who asks it next is told no reason.
  client.on("error", (error: Error) => {
    lost.error ??= error;
  });
  const onAbort = (): void => {
    streamOf(client)?.destroy();
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await client.connect();
    return new DirectSession(client, lost, () => signal.removeEventListener("abort", onAbort), signal);
  } catch (error) {
    signal.removeEventListener("abort", onAbort);
    streamOf(client)?.destroy();
    throw error;
  }
}

function streamOf(client: Client): { destroy(): void } | undefined {
  return (client as unknown as { readonly connection?: { readonly stream?: { destroy(): void } } }).connection?.stream;
}

async function readTls({ host = "", settings }: Connection): Promise<ClientConfig["ssl"]> {
  const mode = settings["sslmode"] ?? defaultSslMode(host);
  if (mode === "disable" || host.startsWith("/")) return false;
  const read = async (name: string): Promise<string | undefined> =>
    settings[name] === undefined ? undefined : await readFile(settings[name], "utf8");
  const [ca, cert, key] = [await read("sslrootcert"), await read("sslcert"), await read("sslkey")];
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    // As libpq: `require` with a root certificate verifies it.
    rejectUnauthorized: mode !== "require" || ca !== undefined,
    ...(mode === "verify-full" ? {} : { checkServerIdentity: () => undefined }),
  };
}

/** Why a connection ended while nothing was asked of it. */
interface LostConnection {
  error: Error | undefined;
}

class DirectSession implements RowSession {
  readonly #client: Client;
  readonly #lost: LostConnection;
  readonly #release: () => void;
  readonly #signal: AbortSignal;
  readonly announcedPid: string;
  #broken = false;

  constructor(client: Client, lost: LostConnection, release: () => void, signal: AbortSignal) {
    this.#client = client;
    this.#lost = lost;
    this.announcedPid = String((client as unknown as { readonly processID: number }).processID);
    this.#release = release;
    this.#signal = signal;
  }

  async query(sql: string, params: readonly (string | null)[] = []): Promise<readonly Row[]> {
    try {
      // The parameters' types are those that their places ask for, as with literals.
      const { rows } = await this.#client.query<Record<string, string | null>>({ text: sql, values: [...params] });
      return rows;
    } catch (error) {
      throw this.#explain(error);
    }
  }

  async *copyOut(sql: string): AsyncGenerator<Uint8Array, void, undefined> {
    const { to: copyTo } = await import("pg-copy-streams");
    const stream = this.#client.query(copyTo(sql));
    let ended = false;
    try {
      for await (const chunk of stream) yield chunk as Uint8Array;
      ended = true;
    } catch (error) {
      ended = true;
      throw this.#explain(error);
    } finally {
      if (!ended) this.#abandon();
    }
  }

  async copyIn(sql: string, body: AsyncIterable<Uint8Array>): Promise<void> {
    const { from: copyFrom } = await import("pg-copy-streams");
    const copy = this.#client.query(copyFrom(sql));
    // One piece at a time: what that stream itself holds back is lost on it when the server says no.
    const input = new Writable({
      write: (piece: Uint8Array, _, done) => void copy.write(piece, done),
      final: (done) => void copy.end(done),
    });
    copy.on("error", (error: Error) => input.destroy(error));
    const taken = finished(input);
    taken.catch(() => undefined);
    try {
      await feedBytes(body, input);
    } catch (error) {
      this.#abandon();
      throw error;
    }
    try {
      await taken;
    } catch (error) {
      this.#abandon();
      throw explainRefusal(error) ?? this.#explain(error);
    }
  }

  #abandon(): void {
    this.#broken = true;
    streamOf(this.#client)?.destroy();
  }

  #explain(error: unknown): unknown {
    return this.#signal.aborted ? createAbortError(this.#signal, "The query was stopped") : classifyError(this.#lost.error ?? error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#release();
    if (this.#broken || this.#signal.aborted) return;
    const ended = once(this.#client, "end");
    await Promise.race([this.#client.end(), ended]).catch(() => undefined);
  }
}

/** What the server says of rows, with the line and the column; as a tool's failure, which is told as one of loading. */
function explainRefusal(error: unknown): HoldfastError | undefined {
  const isOfRows = error instanceof Error && "severity" in error && !/^(08|57)/.test(readErrno(error) ?? "");
  if (!isOfRows) return undefined;
  const place = "where" in error && typeof error.where === "string" ? ` (${error.where})` : "";
  return new HoldfastError("tool-failed", `${error.message}${place}`, { cause: error });
}
