import { readFile } from "node:fs/promises";
import { HoldfastError } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { describeVia, type Via } from "../via.ts";
import type { ConnectionOptions } from "./options.ts";

export interface TlsFiles {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly serverName?: string | undefined;
}

/** Where a server is and how to get in, all options put together. */
export interface Endpoint {
  readonly place: { readonly socket: string } | { readonly host: string; readonly port: number };
  readonly user: string | undefined;
  readonly password: Secret | undefined;
  readonly tls: TlsFiles | undefined;
  readonly via: Via | undefined;
}

const defaultPort = 6379;

/** @throws config-invalid for a URL that is none; it never shows the URL */
export function resolveEndpoint(options: ConnectionOptions & { readonly via?: Via | undefined }): Endpoint {
  const { url, socket, host = "localhost", port = defaultPort, user, password, tls, via } = options;
  if (url === undefined) return { place: socket === undefined ? { host, port } : { socket }, user, password, tls, via };
  const parsed = parseUrl(url);
  return {
    place: parsed.place,
    user: user ?? parsed.user,
    password: password ?? parsed.password,
    tls: tls ?? parsed.tls,
    via,
  };
}

function parseUrl(url: Secret): Omit<Endpoint, "via"> {
  const fail = (why: string): never => {
    throw new HoldfastError("config-invalid", `The url of a redis datastore ${why}`, {
      hint: "Write redis://user:password@host:port, rediss://… for TLS, or unix:///path/of/socket; percent-encode special characters.",
    });
  };
  const parsed = URL.parse(url.reveal()) ?? fail("is no URL");
  const decode = (text: string): string | undefined => {
    try {
      return text === "" ? undefined : decodeURIComponent(text);
    } catch {
      return fail("has a broken percent-encoding");
    }
  };
  const password = decode(parsed.password);
  const login = { user: decode(parsed.username), password: password === undefined ? undefined : new Secret(password) };
  switch (parsed.protocol) {
    case "redis:":
    case "rediss:": {
      const host = parsed.hostname.replace(/^\[(.*)\]$/, "$1");
      const place = { host: host === "" ? "localhost" : host, port: parsed.port === "" ? defaultPort : Number(parsed.port) };
      return { ...login, place, tls: parsed.protocol === "rediss:" ? {} : undefined };
    }
    case "unix:":
    case "redis+unix:":
    case "redis+socket:": {
      const socket = decode(parsed.pathname) ?? fail("names no socket");
      return { ...login, place: { socket }, tls: undefined };
    }
    default:
      return fail(`begins with ${parsed.protocol}`);
  }
}

/** `localhost:6379`, `/run/redis.sock`, `localhost:6379 in container cache`: for people, without secrets. */
export function describeEndpoint({ place, via }: Pick<Endpoint, "place" | "via">): string {
  const where =
    "socket" in place ? place.socket : place.host.includes(":") ? `[${place.host}]:${place.port}` : `${place.host}:${place.port}`;
  return via === undefined ? where : `${where} ${describeVia(via)}`;
}

/** Whether the server runs on this machine, and sees the same files (a container on it does not). */
export function isLocal({ place, via }: Endpoint): boolean {
  return via === undefined && ("socket" in place || isLoopback(place.host));
}

export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d+){3}|::1|::ffff:127(\.\d+){3})$/.test(host);
}

/** What Node needs for TLS. @throws config-invalid for a file that cannot be read */
export async function readTlsFiles({ ca, cert, key, serverName }: TlsFiles): Promise<{
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly servername?: string;
}> {
  const read = async (path: string): Promise<Buffer> => {
    try {
      return await readFile(path);
    } catch (error) {
      throw new HoldfastError("config-invalid", `The TLS file ${path} cannot be read`, { cause: error, hint: "Check its path and mode." });
    }
  };
  return {
    ...(ca === undefined ? {} : { ca: await read(ca) }),
    ...(cert === undefined ? {} : { cert: await read(cert) }),
    ...(key === undefined ? {} : { key: await read(key) }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}
