import { describeVia } from "../via.ts";
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
  if (via !== undefined) url.searchParams.set("via", describeVia(via));
  return url.href;
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
    entry: entry.name,
  };
}
