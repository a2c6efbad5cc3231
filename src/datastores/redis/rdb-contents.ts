import { emptyContents, type Contents } from "../../base/contents.ts";
import type { RdbScan, ScannedDatabase } from "./scan-rdb.ts";
import { parseKeyspace, type Info } from "./server-facts.ts";

/** Keys of each database with and without a time to live, as the RDB holds them; names and types of those that stay. */
export function describeScan(scan: RdbScan): Contents {
  const databases = scan.unknown === undefined ? [...scan.databases] : [];
  const known = scan.unknown === undefined;
  return {
    counts: {
      ...Object.fromEntries(databases.flatMap(([index, { keys, expires }]) => nameCounts(index, keys, expires))),
      ...(known ? { functions: scan.functions } : {}),
    },
    digests: {
      ...Object.fromEntries(databases.map(([index, { persistent }]) => [`persistent.db${index}`, persistent])),
      ...(known ? { functions: scan.functionsDigest } : {}),
    },
    facts: {
      rdbVersion: scan.version,
      serverVersion: scan.aux.get("valkey-ver") ?? scan.aux.get("redis-ver") ?? "unknown",
      usedMemory: Number(scan.aux.get("used-mem") ?? 0),
      checksum: scan.checksum,
      ...(scan.moduleTypes.length === 0 ? {} : { moduleTypes: scan.moduleTypes.join(", ") }),
    },
  };
}

function nameCounts(index: number, keys: number, expires: number): readonly [string, number][] {
  return [
    [`keys.db${index}`, keys],
    [`expires.db${index}`, expires],
  ];
}

/**
 * The contents of a place into which an RDB was loaded, to be compared with the RDB's own. Keys whose time has come since are no loss:
 * where no more are missing than could have gone, and none of those that stay, the RDB's own figures stand.
 * @param expected the RDB, scanned for what is still alive now
 * @param found what a copy of the loaded data holds
 */
export function describeLoaded(expected: RdbScan, found: RdbScan): Contents {
  const contents = describeScan(found);
  if (expected.unknown !== undefined || found.unknown !== undefined) return describeScan(expected);
  const counts = { ...contents.counts };
  const digests = { ...contents.digests };
  for (const [index, database] of expected.databases) {
    const loaded = found.databases.get(index) ?? emptyDatabase;
    // A file that was saved again tells the fields' times as well, so that what stays is known exactly.
    const stays = loaded.keys - loaded.expires - loaded.volatile === database.keys - database.expires - database.volatile;
    if (stays && isWithin(loaded.expires, database) && loaded.volatile <= database.volatile)
      Object.assign(counts, Object.fromEntries(nameCounts(index, database.keys, database.expires)));
    // A database all of whose keys have gone is not mentioned any more.
    if (stays && loaded === emptyDatabase) digests[`persistent.db${index}`] = database.persistent;
  }
  return { ...contents, counts, digests };
}

const emptyDatabase: ScannedDatabase = { keys: 0, expires: 0, alive: 0, volatile: 0, persistent: "" };

function isWithin(expires: number, { expires: most, alive }: ScannedDatabase): boolean {
  return expires >= alive && expires <= most;
}

/**
 * The same where only a running server's own figures are known. Names of keys are then taken as the RDB has them: the server has loaded
 * all of it, checksum included.
 */
export function describeKeyspace(expected: RdbScan, info: Info): Contents {
  const contents = describeScan(expected);
  if (expected.unknown !== undefined) return contents;
  const found = parseKeyspace(info);
  const libraries = info.get("number_of_libraries");
  const counts: Record<string, number> = { ...contents.counts, ...(libraries === undefined ? {} : { functions: Number(libraries) }) };
  for (const index of new Set([...expected.databases.keys(), ...found.keys()])) {
    const database = expected.databases.get(index) ?? emptyDatabase;
    const { keys, expires } = found.get(index) ?? { keys: 0, expires: 0 };
    const missing = database.keys - database.expires - (keys - expires);
    if (missing >= 0 && missing <= database.volatile && isWithin(expires, database)) continue;
    Object.assign(counts, Object.fromEntries(nameCounts(index, keys, expires)));
  }
  return { ...contents, counts };
}

/** What a server that should be empty holds. */
export function describeFilled(info: Info): Contents {
  const counts = [...parseKeyspace(info)].flatMap(([index, { keys, expires }]) => nameCounts(index, keys, expires));
  const libraries = Number(info.get("number_of_libraries") ?? 0);
  return { ...emptyContents, counts: Object.fromEntries(libraries === 0 ? counts : [...counts, ["functions", libraries]]) };
}

export function countKeys(scan: RdbScan): number {
  return [...scan.databases.values()].reduce((sum, { keys }) => sum + keys, 0);
}
