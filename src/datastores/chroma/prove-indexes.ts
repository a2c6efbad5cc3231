import { createHash } from "node:crypto";
import { HoldfastError } from "../../base/errors.ts";
import { type CollectionFacts, nameCollection } from "./catalog.ts";
import { type ApiCollection, type ApiMatches, type ApiRecords, type ChromaClient, locateCollections } from "./client.ts";

type Place = Pick<CollectionFacts, "tenant" | "database" | "id" | "name" | "records">;

/** A record whose vector is in an index, and which a query by it does not find. */
export interface Miss {
  /** For people. */
  readonly collection: string;
  readonly place: Place;
  readonly id: string;
  readonly vector: readonly number[];
  /** One of the last that the index on disk must hold. */
  readonly isNewest: boolean;
}

/** What a server answered that was asked for sampled records by their own vectors. */
export interface IndexProof {
  readonly queried: number;
  /** Ids of records of which the index has no vector, with the collection's name before them. */
  readonly lost: readonly string[];
  readonly missed: readonly Miss[];
  /** How many records were asked for, by collection, and how many of them were the last ones. */
  readonly asked: Readonly<Record<string, { readonly all: number; readonly newest: number }>>;
  /** Over the ids and vectors. */
  readonly digest: string;
}

const batch = 40;
/** How many neighbours are looked through for a record that is not the nearest to its own vector. */
const wideNeighbours = 1_000;

/** Asks for the samples of all collections. @throws tool-failed and others for a server that does not do as servers do */
export async function proveIndexes(
  client: ChromaClient,
  collections: readonly CollectionFacts[],
  signal: AbortSignal,
): Promise<IndexProof> {
  const hash = createHash("sha256");
  const lost: string[] = [];
  const missed: Miss[] = [];
  const asked: Record<string, { all: number; newest: number }> = {};
  let queried = 0;
  for (const collection of collections) {
    const path = `${locateCollections(collection)}/${collection.id}`;
    const ids = collection.samples.toSorted();
    const newest = new Set(collection.samples.slice(0, collection.newestSamples));
    asked[nameCollection(collection)] = { all: ids.length, newest: newest.size };
    for (let at = 0; at < ids.length; at += batch) {
      const vectors = await readVectors(client, path, ids.slice(at, at + batch), signal);
      for (const id of ids.slice(at, at + batch)) {
        queried += 1;
        const vector = vectors.get(id);
        if (vector === undefined) lost.push(`${nameCollection(collection)}: ${id}`);
        else hash.update(`${JSON.stringify([nameCollection(collection), id])}\n`).update(Float32Array.from(vector));
      }
      const found = await findThemselves(client, collection, vectors, signal);
      for (const [id, vector] of vectors) {
        if (found.has(id)) continue;
        missed.push({ collection: nameCollection(collection), place: collection, id, vector, isNewest: newest.has(id) });
      }
    }
  }
  return { queried, lost, missed, asked, digest: hash.digest("hex") };
}

/** By id; what the index does not have is not there. A server refuses the whole call for one of them. */
async function readVectors(
  client: ChromaClient,
  path: string,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const ask = (some: readonly string[]): Promise<ApiRecords> =>
    client.call<ApiRecords>("POST", `${path}/get`, { ids: some, include: ["embeddings"] }, signal);
  const vectors = new Map<string, readonly number[]>();
  const take = ({ ids: found, embeddings }: ApiRecords): void =>
    found.forEach((id, index) => {
      const vector = embeddings?.[index];
      if (vector !== undefined && vector !== null) vectors.set(id, vector);
    });
  try {
    take(await ask(ids));
    return vectors;
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
  for (const id of ids) {
    try {
      take(await ask([id]));
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
  }
  return vectors;
}

/** Ids whose own vector leads to them. */
export async function findThemselves(
  client: ChromaClient,
  collection: Place,
  vectors: ReadonlyMap<string, readonly number[]>,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const path = `${locateCollections(collection)}/${collection.id}`;
  const found = new Set<string>();
  for (const neighbours of [1, Math.max(1, Math.min(wideNeighbours, collection.records))]) {
    const asked = [...vectors.keys()].filter((id) => !found.has(id));
    if (asked.length === 0) break;
    const matches = await query(
      client,
      path,
      { query_embeddings: asked.map((id) => vectors.get(id)), n_results: neighbours, include: ["distances"] },
      signal,
    );
    asked.forEach((id, index) => {
      // Others with the very same vector are as near.
      const isThere = matches?.ids[index]?.includes(id) === true || isNought(matches?.distances?.[index]?.[0]);
      if (isThere) found.add(id);
    });
  }
  const rest = [...vectors].filter(([id]) => !found.has(id));
  if (rest.length === 0) return found;
  const isInner = (await readSpace(client, collection, signal)) === "ip";
  for (const [id, vector] of rest) {
    // Noughts have no direction in which a query could find them: that the index gave the vector is all that can be had.
    if (vector.every((value) => value === 0)) found.add(id);
    // By inner product another vector may be nearer than itself: then it is looked for among itself alone.
    if (!isInner || found.has(id)) continue;
    const matches = await query(client, path, { query_embeddings: [vector], ids: [id], n_results: 1, include: ["distances"] }, signal);
    if (matches?.ids[0]?.[0] === id) found.add(id);
  }
  return found;
}

async function query(client: ChromaClient, path: string, body: unknown, signal: AbortSignal): Promise<ApiMatches | undefined> {
  try {
    return await client.call<ApiMatches>("POST", `${path}/query`, body, signal);
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

/** How a collection's vectors are compared; undefined where the server does not tell. */
async function readSpace(client: ChromaClient, collection: Place, signal: AbortSignal): Promise<unknown> {
  const place = `${locateCollections(collection)}/${encodeURIComponent(collection.name)}`;
  const { configuration_json: configuration, metadata } = await client.call<ApiCollection>("GET", place, undefined, signal);
  const { hnsw, spann } = configuration as Partial<Record<"hnsw" | "spann", { readonly space?: unknown } | null>>;
  return hnsw?.space ?? spann?.space ?? metadata?.["hnsw:space"];
}

const isNought = (distance: number | null | undefined): boolean => typeof distance === "number" && Math.abs(distance) < 1e-5;

function isRefusal(error: unknown): boolean {
  return error instanceof HoldfastError && error.code === "tool-failed";
}
