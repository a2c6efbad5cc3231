import { realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { ConcurrencyKey } from "../../base/concurrency-key.ts";
import { describeVia } from "../via.ts";
import { isLoopback, resolveEndpoint } from "./endpoint.ts";
import type { RedisOptions } from "./options.ts";

/** A server by its address. That two addresses are one server cannot be known while it is away; all names of this machine are one. */
export async function identifyServer(options: RedisOptions): Promise<ConcurrencyKey> {
  const { place, via } = resolveEndpoint(options);
  const files = await Promise.all(listFiles(options).map(resolvePath));
  const inside = via === undefined ? "" : `:${describeVia(via)}`;
  if ("host" in place) {
    const host = isLoopback(place.host) ? "localhost" : place.host.toLowerCase();
    return { id: `redis${inside}:${host}:${place.port}`, paths: files };
  }
  if (via !== undefined) return { id: `redis${inside}:${place.socket}`, paths: files };
  const socket = await resolvePath(place.socket);
  return { id: `redis:${socket}`, paths: [socket, ...files] };
}

/** The server's files on this machine, as far as the config names them. */
export function listFiles({ rdbPath, aofDir }: RedisOptions): readonly string[] {
  return [rdbPath, aofDir].filter((path) => path !== undefined);
}

/** Its directory without symbolic links; the last name may not be there. */
async function resolvePath(path: string): Promise<string> {
  const directory = await realpath(dirname(path)).catch(() => dirname(path));
  return join(directory, basename(path));
}
