import { setTimeout as pause } from "node:timers/promises";
import { describeCause, HoldfastError, readErrno } from "../../base/errors.ts";
import type { Secret } from "../../base/secret.ts";
import { createAbortError } from "../../base/subprocess.ts";

/** Where a server is asked, and as whom. */
export interface Endpoint {
  readonly url: string;
  readonly token?: Secret | undefined;
  readonly headers: Readonly<Record<string, Secret>>;
}

/** A collection as the server's API gives it; what is not named here is kept as it is. */
export interface ApiCollection {
  readonly id: string;
  readonly name: string;
  readonly dimension: number | null;
  readonly metadata: Readonly<Record<string, unknown>> | null;
  readonly configuration_json: Readonly<Record<string, unknown>>;
  readonly schema?: Readonly<Record<string, unknown>> | null;
}

export interface ApiRecords {
  readonly ids: readonly string[];
  readonly embeddings?: readonly (readonly number[] | null)[] | null;
  readonly documents?: readonly (string | null)[] | null;
  readonly metadatas?: readonly (Readonly<Record<string, unknown>> | null)[] | null;
  readonly uris?: readonly (string | null)[] | null;
}

export interface ApiMatches {
  readonly ids: readonly (readonly string[])[];
  readonly distances: readonly (readonly (number | null)[])[] | null;
}

type Method = "GET" | "POST" | "PUT" | "DELETE";

const callMs = 5 * 60_000;
const pollMs = 50;

/** The HTTP API (v2) of a server. Failures are HoldfastErrors whose message is the reason alone. */
export class ChromaClient {
  readonly #endpoint: Endpoint;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** `path` is below /api/v2. @throws source-unreachable, source-unreadable (no entry), unknown-name (404), tool-failed, cancelled */
  async call<Result>(method: Method, path: string, body: unknown, signal: AbortSignal): Promise<Result> {
    const text = await this.send(method, path, body === undefined ? undefined : JSON.stringify(body), signal);
    return (text === "" ? null : JSON.parse(text)) as Result;
  }

  /** The same with the very text of both bodies. */
  async send(method: Method, path: string, body: string | undefined, signal: AbortSignal): Promise<string> {
    const { url, token, headers } = this.#endpoint;
    const target = `${url.replace(/\/+$/, "")}/api/v2${path}`;
    const sent: Record<string, string> = {
      accept: "application/json",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    if (token !== undefined) sent["authorization"] = `Bearer ${token.reveal()}`;
    for (const [name, value] of Object.entries(headers)) sent[name] = value.reveal();
    let response: Response;
    let text: string;
    try {
      const timeout = AbortSignal.timeout(callMs);
      response = await fetch(target, {
        method,
        headers: sent,
        redirect: "error",
        signal: AbortSignal.any([signal, timeout]),
        ...(body === undefined ? {} : { body }),
      });
      text = await response.text();
    } catch (error) {
      if (signal.aborted) throw createAbortError(signal, "asking the Chroma server was stopped");
      throw new HoldfastError("source-unreachable", `the Chroma server at ${hideUser(url)} does not answer: ${describeFetchFault(error)}`, {
        hint: "Is it running, and is `url` right?",
      });
    }
    if (!response.ok) throw createRefusal(response.status, text, hideUser(url));
    return text;
  }

  /** Waits for a server that starts. `ended` rejects when there is no hope. */
  async waitUntilUp(waitMs: number, signal: AbortSignal, ended?: Promise<never>): Promise<void> {
    const deadlineAt = performance.now() + waitMs;
    for (;;) {
      try {
        const asked = this.call("GET", "/heartbeat", undefined, signal);
        await (ended === undefined ? asked : Promise.race([asked, ended]));
        return;
      } catch (error) {
        const waits = error instanceof HoldfastError && error.code === "source-unreachable" && performance.now() < deadlineAt;
        if (!waits) throw error;
      }
      await pause(pollMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) throw createAbortError(signal, "waiting for the Chroma server was stopped");
    }
  }
}

/** Path below /api/v2 of a database's collections. */
export function locateCollections({ tenant, database }: { readonly tenant: string; readonly database: string }): string {
  return `/tenants/${encodeURIComponent(tenant)}/databases/${encodeURIComponent(database)}/collections`;
}

function hideUser(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname.replace(/\/+$/, "")}`;
}

function describeFetchFault(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return readErrno(cause) ?? describeCause(cause);
}

/** What a server says is cut short: it is free to repeat what it was sent. */
function createRefusal(status: number, text: string, url: string): HoldfastError {
  let said = text.slice(0, 300);
  try {
    const { message, detail } = JSON.parse(text) as { readonly message?: string; readonly detail?: string };
    said = (message ?? detail ?? said).slice(0, 300);
  } catch {
    // No JSON: a proxy's own words.
  }
  const reason = `the Chroma server at ${url} answered ${status}${said === "" ? "" : `: ${said}`}`;
  if (status === 401 || status === 403)
    return new HoldfastError("source-unreadable", reason, {
      hint: "Set `token` or `headers` to what the server asks for.",
      details: { status },
    });
  if (status === 404) return new HoldfastError("unknown-name", reason, { details: { status } });
  if (status === 502 || status === 503 || status === 504) return new HoldfastError("source-unreachable", reason, { details: { status } });
  return new HoldfastError("tool-failed", reason, { details: { status } });
}
