import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync } from "node:fs";
import type Database from "better-sqlite3";
import { HoldfastError } from "../../base/errors.ts";
import { readIntegrity } from "../sqlite-files/integrity.ts";
import { openDatabase } from "../sqlite-files/open-database.ts";
import { pollLock } from "../sqlite-files/poll-lock.ts";
import { type ChildReport, serveChild } from "../sqlite-files/serve-child.ts";
import { takeSnapshot } from "../sqlite-files/snapshot.ts";
import type { CollectionFacts, Examination } from "./catalog.ts";
import { countRecords } from "./count-records.ts";
import type { ChildOperation, ExamineRequest } from "./child-protocol.ts";

async function performOperation(operation: ChildOperation, report: ChildReport): Promise<unknown> {
  switch (operation.op) {
    case "copy":
      return (await takeSnapshot(operation, report("copying"))).notes;
    case "positions":
      return readPositions(operation.path, operation.busyTimeoutMs);
    case "examine":
      return examine(operation);
  }
}

/** How far the indexes have been flushed, by segment. */
function readPositions(path: string, busyTimeoutMs: number): Readonly<Record<string, number>> {
  const database = openDatabase(path, 0);
  try {
    database.pragma("query_only = on");
    const rows = pollLock(busyTimeoutMs, () => selectPositions(database));
    return Object.fromEntries(rows);
  } finally {
    database.close();
  }
}

const selectPositions = (database: Database.Database): readonly (readonly [string, number])[] =>
  database
    .prepare(
      "select s.id, m.seq_id from segments s join max_seq_id m on m.segment_id = s.id where s.scope = 'VECTOR' and typeof(m.seq_id) = 'integer'",
    )
    .raw()
    .all() as [string, number][];

/** Of a file that nobody else has open; a journal that a power cut or a pause has left is rolled back. */
function examine({ path, samples }: ExamineRequest): Examination {
  const database = openDatabase(path, 1_000);
  let examination: Examination;
  try {
    const { digest, notes } = readIntegrity(database, "full");
    const problems = notes.filter(({ code }) => code === "source-damaged").map(({ message }) => message);
    requireTables(database);
    const collections = readCollections(database, samples);
    examination = { collections, integrity: digest, digest: hashCollections(database), problems };
  } finally {
    database.close();
  }
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return examination;
}

function requireTables(database: Database.Database): void {
  const wanted = ["collections", "databases", "embeddings", "max_seq_id", "segments"];
  const found = database.prepare("select name from sqlite_schema where type = 'table'").pluck().all();
  const missing = wanted.filter((name) => !found.includes(name));
  if (missing.length > 0)
    throw new HoldfastError(
      "source-corrupt",
      `chroma.sqlite3 has no table ${missing.join(", ")}: it is no Chroma database of version 0.4 or later`,
    );
}

interface CollectionRow {
  readonly id: string;
  readonly tenant: string;
  readonly database: string;
  readonly name: string;
  readonly dimension: number | null;
  readonly vector: string | null;
  readonly metadata: string | null;
}

function readCollections(database: Database.Database, samples: number): readonly CollectionFacts[] {
  const rows = database
    .prepare(
      `select c.id, d.tenant_id as tenant, d.name as database, c.name, c.dimension,
        (select s.id from segments s where s.collection = c.id and s.scope = 'VECTOR') as vector,
        (select s.id from segments s where s.collection = c.id and s.scope = 'METADATA') as metadata
      from collections c join databases d on d.id = c.database_id order by d.tenant_id, d.name, c.name`,
    )
    .all() as CollectionRow[];
  const positions = new Map(selectPositions(database));
  const counts = countRecords(database, new Map(rows.flatMap(({ id, metadata }) => (metadata === null ? [] : [[id, metadata] as const]))));
  return rows.map(({ id, tenant, database: place, name, dimension, vector, metadata }) => {
    const flushedTo = vector === null ? null : (positions.get(vector) ?? null);
    return {
      id,
      tenant,
      database: place,
      name,
      dimension,
      records: counts.get(id) ?? 0,
      vectorSegment: vector,
      flushedTo,
      ...(metadata === null ? { samples: [], newestSamples: 0 } : chooseSamples(database, metadata, flushedTo, samples)),
    };
  });
}

/**
 * Records by which an index is proven: some all over the collection, and the last ones that the index on disk must hold according to the
 * database. Those are the ones that are missing when the index was copied before the database.
 */
function chooseSamples(
  database: Database.Database,
  segment: string,
  flushedTo: number | null,
  wanted: number,
): Pick<CollectionFacts, "samples" | "newestSamples"> {
  const last = Math.max(1, Math.floor(wanted / 4));
  const chosen = new Set<string>();
  const newest = database
    .prepare(
      "select embedding_id from embeddings where segment_id = ? and (typeof(seq_id) != 'integer' or seq_id <= ?) order by seq_id desc limit ?",
    )
    .pluck();
  for (const id of newest.all(segment, flushedTo ?? Number.MAX_SAFE_INTEGER, last)) chosen.add(String(id));
  const newestSamples = chosen.size;
  const [least, most] = database.prepare("select min(id), max(id) from embeddings where segment_id = ?").raw().get(segment) as [
    number | null,
    number | null,
  ];
  if (least === null || most === null) return { samples: [...chosen], newestSamples };
  const next = database.prepare("select embedding_id from embeddings where id >= ? and +segment_id = ? order by id limit 1").pluck();
  const spread = wanted - last;
  for (let index = 0; index < spread; index += 1) {
    const from = least + Math.round(((most - least) * index) / Math.max(1, spread - 1));
    chosen.add(String(next.get(from, segment)));
  }
  return { samples: [...chosen], newestSamples };
}

function hashCollections(database: Database.Database): string {
  const columns = database.prepare("select name from pragma_table_info('collections') order by name").pluck().all().map(String);
  const chosen = columns.map((name) => `c."${name.replaceAll('"', '""')}"`).join(", ");
  const hash = createHash("sha256");
  for (const row of database.prepare(`select ${chosen} from collections c order by c.id`).raw().iterate())
    hash.update(`${JSON.stringify(row)}\n`);
  return hash.digest("hex");
}

if (import.meta.main) await serveChild((operation, report) => performOperation(operation as ChildOperation, report));
