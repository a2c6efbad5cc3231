import type { RedisConnection, Reply } from "./redis-connection.ts";

export type Info = ReadonlyMap<string, string>;

/** What INFO says, all sections together; others may be among them. */
export async function readInfo(connection: RedisConnection, ...sections: readonly string[]): Promise<Info> {
  const info = new Map<string, string>();
  // Naming several sections is a thing of later servers; without a name all usual ones come.
  const text = String(await connection.call("INFO", ...(sections.length === 1 ? sections : [])));
  for (const line of text.split("\n")) {
    const at = line.indexOf(":");
    if (at > 0 && !line.startsWith("#")) info.set(line.slice(0, at), line.slice(at + 1).trim());
  }
  return info;
}

/** One setting of the server; undefined where it has none of the name. */
export async function readSetting(connection: RedisConnection, name: string): Promise<string | undefined> {
  const reply: Reply = await connection.call("CONFIG", "GET", name);
  return Array.isArray(reply) && typeof reply[1] === "string" ? reply[1] : undefined;
}

/** The server's clock in whole seconds, rounded down, as it writes it into an RDB. */
export async function readServerSeconds(connection: RedisConnection): Promise<number> {
  const reply = await connection.call("TIME");
  return Number(Array.isArray(reply) ? reply[0] : Number.NaN);
}

export interface Keyspace {
  readonly keys: number;
  readonly expires: number;
}

/** Keys of each database that has any. */
export function parseKeyspace(info: Info): ReadonlyMap<number, Keyspace> {
  const found = new Map<number, Keyspace>();
  for (const [name, value] of info) {
    const index = /^db(\d+)$/.exec(name)?.[1];
    if (index === undefined) continue;
    const numbers = new Map(value.split(",").map((part) => part.split("=") as [string, string]));
    found.set(Number(index), { keys: Number(numbers.get("keys") ?? 0), expires: Number(numbers.get("expires") ?? 0) });
  }
  return found;
}

export interface ServerVersion {
  readonly family: "redis" | "valkey";
  readonly version: string;
  /** The latest version of RDB files that it reads. */
  readonly rdbVersion: number;
}

const rdbVersions = {
  redis: [
    ["8.4", 13],
    ["7.4", 12],
    ["7.2", 11],
    ["7.0", 10],
    ["5.0", 9],
    ["4.0", 8],
    ["3.2", 7],
  ],
  valkey: [
    ["9.2", 81],
    ["9.0", 80],
    ["7.2", 11],
  ],
} as const;

export function readVersion(info: Info): ServerVersion {
  const valkey = info.get("valkey_version");
  const family = valkey === undefined ? "redis" : "valkey";
  const version = valkey ?? info.get("redis_version") ?? "0";
  const known = rdbVersions[family].find(([since]) => compareVersions(version, since) >= 0);
  return { family, version, rdbVersion: known?.[1] ?? 6 };
}

export function compareVersions(one: string, other: string): number {
  const [ones, others] = [one.split(".").map(Number), other.split(".").map(Number)];
  for (let index = 0; index < Math.max(ones.length, others.length); index += 1) {
    const difference = (ones[index] ?? 0) - (others[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** "Redis 7.0.15" */
export function describeVersion({ family, version }: ServerVersion): string {
  return `${family === "redis" ? "Redis" : "Valkey"} ${version}`;
}
