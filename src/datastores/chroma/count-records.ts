import type Database from "better-sqlite3";

/**
 * What Chroma writes into `embeddings_queue.operation` (Chroma 1.5, `rust/log/src/sqlite_log.rs`): whether the record is there afterwards.
 * An update makes none where there is none, and what else there may be is no record's.
 */
const presence: ReadonlyMap<number, boolean> = new Map([
  [0, true], // add
  [2, true], // upsert
  [3, false], // delete
]);

interface Queued {
  readonly seq: number;
  readonly topic: string;
  readonly id: string;
  readonly operation: number;
}

/**
 * Counts collections' records as their server does when it opens the data: what a client was told to be written stands in a queue first, and
 * a copy that was made in between has it there alone.
 * @param segments of scope METADATA, by the collection's id
 */
export function countRecords(database: Database.Database, segments: ReadonlyMap<string, string>): ReadonlyMap<string, number> {
  const count = database.prepare<[string], number>("select count(*) from embeddings where segment_id = ?").pluck();
  const counts = new Map([...segments].map(([collection, segment]) => [collection, count.get(segment) ?? 0]));
  if (database.prepare("select 1 from sqlite_schema where type = 'table' and name = 'embeddings_queue'").get() === undefined) return counts;
  const reached = readPositions(database, [...segments.values()]);
  const has = database
    .prepare<[string, string], number>("select count(*) from embeddings where segment_id = ? and embedding_id = ?")
    .pluck();
  const states = new Map<string, Map<string, boolean>>();
  const queue = database.prepare<[number], Queued>(
    "select seq_id as seq, topic, id, operation from embeddings_queue where seq_id > ? order by seq_id",
  );
  // One pass for all of them: a server that never purges its queue has every record in it.
  for (const { seq, topic, id, operation } of queue.iterate(Math.min(Number.MAX_SAFE_INTEGER, ...reached.values()))) {
    const collection = topic.slice(topic.lastIndexOf("/") + 1);
    const segment = segments.get(collection);
    const after = presence.get(operation);
    if (segment === undefined || after === undefined || seq <= (reached.get(segment) ?? 0)) continue;
    const known = states.get(collection) ?? new Map<string, boolean>();
    states.set(collection, known);
    const before = known.get(id) ?? has.get(segment, id) === 1;
    if (before !== after) counts.set(collection, (counts.get(collection) ?? 0) + (after ? 1 : -1));
    known.set(id, after);
  }
  return counts;
}

/** How far each segment has come in the queue. One that an old version wrote as bytes says nothing here: nothing is pending for it. */
function readPositions(database: Database.Database, segments: readonly string[]): ReadonlyMap<string, number> {
  const read = database.prepare<[string], number>(
    "select case typeof(seq_id) when 'integer' then seq_id else 9007199254740991 end from max_seq_id where segment_id = ?",
  );
  return new Map(segments.map((segment) => [segment, read.pluck().get(segment) ?? 0]));
}
