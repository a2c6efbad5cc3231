import { HoldfastError } from "../base/errors.ts";
import { choosePing, type PingTarget, type WebhookTarget } from "./channel.ts";
import type { Message } from "./notification.ts";

/** Answers that say that the message itself is refused: it would be refused again. */
const refusals: readonly number[] = [400, 413, 415, 422];

export async function deliverByWebhook(channel: WebhookTarget, message: Message, signal: AbortSignal): Promise<void> {
  const headers = Object.fromEntries(Object.entries(channel.headers).map(([name, value]) => [name, value.reveal()]));
  const body = JSON.stringify(message);
  await request(channel.url.reveal(), { method: "POST", headers: { "content-type": "application/json", ...headers }, body, signal });
}

export async function deliverByPing(channel: PingTarget, message: Message, signal: AbortSignal): Promise<void> {
  const ping = choosePing(message.kind);
  if (ping === undefined) return;
  await request(ping === "success" ? channel.url.reveal() : extendPath(channel.url.reveal(), ping), { method: "GET", signal });
}

function extendPath(address: string, part: string): string {
  const url = parseAddress(address);
  url.pathname = `${url.pathname.replace(/\/$/, "")}/${part}`;
  return url.href;
}

function parseAddress(address: string): URL {
  const url = URL.parse(address);
  if (url === null) throw new HoldfastError("destination-failed", "its address is no URL");
  return url;
}

async function request(address: string, init: RequestInit): Promise<void> {
  const url = parseAddress(address);
  const headers = new Headers(readHeaders(init.headers));
  headers.set("user-agent", "holdfast");
  // fetch refuses addresses with a user part.
  if (url.username !== "" || url.password !== "") {
    const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    headers.set("authorization", `Basic ${Buffer.from(user).toString("base64")}`);
    url.username = "";
    url.password = "";
  }
  const response = await fetch(url, { ...init, headers, redirect: "manual" }).catch((error: unknown) => {
    throw new HoldfastError("destination-failed", describeFetchError(error));
  });
  await response.body?.cancel();
  if (response.ok) return;
  const redirects = response.status >= 300 && response.status < 400;
  throw new HoldfastError(
    "destination-failed",
    redirects
      ? `it answered with a redirect (${response.status}), which is not followed`
      : `it answered with HTTP status ${response.status}`,
    { retryable: !refusals.includes(response.status) },
  );
}

/** A header that cannot be sent is named, its value is not. */
function readHeaders(headers: RequestInit["headers"]): Record<string, string> {
  const entries = Object.entries((headers ?? {}) as Record<string, string>);
  const bad = entries.find(([, value]) => !/^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(value));
  if (bad !== undefined)
    throw new HoldfastError("destination-failed", `the value of its header "${bad[0]}" has characters that no header may have`);
  return Object.fromEntries(entries);
}

/** By the code alone: messages of fetch quote the address. */
function describeFetchError(error: unknown): string {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : undefined;
  return code === undefined ? "the request failed" : `the connection failed (${code})`;
}
