import { describeVia, type Via } from "../via.ts";
import { resolveEndpoint } from "./endpoint.ts";
import type { RedisOptions } from "./options.ts";

/** Where a backup came from, without secrets: enough to find the server again where it needs no password. */
export function describeSource(options: RedisOptions): string {
  const { place, tls, via } = resolveEndpoint(options);
  const url = new URL(
    "socket" in place
      ? `redis+unix://${encodeURI(place.socket)}`
      : `${tls === undefined ? "redis" : "rediss"}://${formatHost(place.host)}:${place.port}`,
  );
  if (options.rdbPath !== undefined) url.searchParams.set("rdbPath", options.rdbPath);
  if (options.aofDir !== undefined) url.searchParams.set("aofDir", options.aofDir);
  if (via !== undefined) for (const [key, value] of listVia(via)) url.searchParams.set(key, value);
  return url.href;
}

/** A command of the operator's is named only: what a backup says is not to be run. */
function listVia(via: Via): readonly (readonly [string, string])[] {
  if ("command" in via) return [["via", describeVia(via)]];
  const fields: readonly (readonly [string, string | undefined])[] = Object.entries(via);
  return fields.flatMap(([key, value]) => (value === undefined ? [] : [[`via.${key}`, value] as const]));
}

const lostCommand = "a command that backups do not keep";

/** Whether the way to a server is not known from a backup: by its address alone, another one would be found here. */
export function isViaLost(via: Via | undefined): boolean {
  return via !== undefined && "command" in via && via.command[0] === lostCommand;
}

function readVia({ searchParams }: URL): { readonly via?: Readonly<Record<string, unknown>> } {
  if (searchParams.has("via")) return { via: { command: [lostCommand] } };
  const found = [...searchParams].filter(([key]) => key.startsWith("via.")).map(([key, value]) => [key.slice("via.".length), value]);
  return found.length === 0 ? {} : { via: Object.fromEntries(found) as Record<string, string> };
}

function formatHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/** The options by which the server is found again, as far as they stand in its address. */
export function readSource(entries: readonly { readonly name: string; readonly sourcePath: string }[]): unknown {
  const [entry] = entries;
  const url = entry === undefined ? null : URL.parse(entry.sourcePath);
  if (entry === undefined || url === null) return {};
  const [rdbPath, aofDir] = [url.searchParams.get("rdbPath"), url.searchParams.get("aofDir")];
  const place =
    url.protocol === "redis+unix:"
      ? { socket: decodeURI(url.pathname) }
      : { host: url.hostname.replace(/^\[(.*)\]$/, "$1"), ...(url.port === "" ? {} : { port: Number(url.port) }) };
  return {
    ...place,
    ...(url.protocol === "rediss:" ? { tls: true } : {}),
    ...(rdbPath === null ? {} : { rdbPath }),
    ...(aofDir === null ? {} : { aofDir }),
    ...readVia(url),
    entry: entry.name,
  };
}
