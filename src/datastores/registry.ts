import { HoldfastError } from "../base/errors.ts";
import { chromaDriver } from "./chroma/chroma.ts";
import type { DatastoreDriver } from "./contract.ts";
import { filesDatastore } from "./files/files-datastore.ts";
import { neo4jDriver } from "./neo4j/neo4j.ts";
import { postgresqlDriver } from "./postgresql/postgresql.ts";
import { redisDriver } from "./redis/redis.ts";
import { sqliteDriver } from "./sqlite/sqlite.ts";

/** Every datastore kind. A driver is added here, and nowhere else. */
const drivers: readonly DatastoreDriver[] = [filesDatastore, sqliteDriver, postgresqlDriver, redisDriver, chromaDriver, neo4jDriver];

export function listDatastoreDrivers(): readonly DatastoreDriver[] {
  return drivers;
}

/** Throws `config-invalid` for a kind that this version does not have. */
export function findDatastoreDriver(kind: string): DatastoreDriver {
  const driver = drivers.find((candidate) => candidate.kind === kind);
  if (driver === undefined) {
    throw new HoldfastError("config-invalid", `Unknown datastore kind "${kind}"`, {
      hint: `Known kinds: ${drivers.map(({ kind: known }) => known).join(", ")}.`,
    });
  }
  return driver;
}
