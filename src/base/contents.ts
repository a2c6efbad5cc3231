/**
 * What a member holds, as a restore or a drill compares it.
 * `counts` and `digests` must be equal after a restore; `facts` inform and are not compared.
 */
export interface Contents {
  /** For example rows per table (`rows.messages`), or `files` and `bytes`. */
  readonly counts: Readonly<Record<string, number>>;
  /** For example the hash of the schema; lower-case hex SHA-256 or short text. */
  readonly digests: Readonly<Record<string, string>>;
  /** For example `pageCount`, `journalMode`. */
  readonly facts: Readonly<Record<string, string | number | boolean>>;
}

export const emptyContents: Contents = { counts: {}, digests: {}, facts: {} };

/** Of what is expected that alone which was found: what a restore of some tables can be compared with. */
export function pickContents({ counts, digests, facts }: Contents, found: Contents): Contents {
  const pick = <Value>(from: Readonly<Record<string, Value>>, names: object): Readonly<Record<string, Value>> =>
    Object.fromEntries(Object.entries(from).filter(([name]) => Object.hasOwn(names, name)));
  return { counts: pick(counts, found.counts), digests: pick(digests, found.digests), facts };
}

/** Rows, records of collections, nodes and relationships, and keys that stay until somebody removes them; undefined where none is counted. */
export function countItems({ counts }: Contents): number | undefined {
  const named = Object.entries(counts);
  const sum = (prefix: string): number => named.reduce((all, [name, count]) => (name.startsWith(prefix) ? all + count : all), 0);
  if (counts["nodes"] !== undefined) return counts["nodes"] + (counts["relationships"] ?? 0);
  if (!named.some(([name]) => ["rows.", "keys.", "records."].some((prefix) => name.startsWith(prefix)))) return undefined;
  return sum("rows.") + sum("keys.") + sum("records.") - sum("expires.");
}

/** One difference per line, for people; none when a restored copy holds what was backed up. */
export function compareContents(expected: Contents, found: Contents): readonly string[] {
  return [...compareRecords(expected.counts, found.counts), ...compareRecords(expected.digests, found.digests)];
}

function compareRecords(expected: Readonly<Record<string, number | string>>, found: Readonly<Record<string, number | string>>): string[] {
  const names = [...new Set([...Object.keys(expected), ...Object.keys(found)])].sort();
  return names
    .filter((name) => expected[name] !== found[name])
    .map((name) => `${name}: expected ${expected[name] ?? "nothing"}, found ${found[name] ?? "nothing"}`);
}
