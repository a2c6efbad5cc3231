import { join } from "node:path";
import type { ConcurrencyKey } from "../../base/concurrency-key.ts";
import { resolvePath } from "../trees/resolve-path.ts";
import { identifyDirectory } from "../volume.ts";
import type { Neo4jOptions } from "./options.ts";

/** The two directories that make up a database, below a data directory. */
export const storeParts = ["databases", "transactions"] as const;

export function listStoreDirectories(data: string, database: string): readonly string[] {
  return storeParts.map((part) => join(data, part, database));
}

/** What of the file system a datastore is: one database, or all of the directory. */
export function listPlaces(data: string, { method, database }: Pick<Neo4jOptions, "method" | "database">): readonly string[] {
  return method === "archive" ? [data] : listStoreDirectories(data, database);
}

/** By its name where a volume's place is not known, so that it has a key all the same. */
export async function identifyStore(options: Neo4jOptions, signal: AbortSignal): Promise<ConcurrencyKey> {
  const { paths: places } = await identifyDirectory(options.data, signal);
  const paths = places.flatMap((data) => listPlaces(data, options).map(resolvePath));
  return { id: `neo4j:${paths[0] ?? ""}`, paths };
}
