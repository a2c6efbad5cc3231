import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import type { Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { type ApiCollection, type ChromaClient, locateCollections } from "./client.ts";
import { describeCanonically, parseLossless } from "./lossless-json.ts";
import { included, parsePage, type RecordPage, type RecordSum } from "./record-pages.ts";

/** A database of a server. */
export interface Database {
  readonly tenant: string;
  readonly database: string;
}

/** Names that restores give to collections for a while; never part of a backup. */
export const ownName = /^holdfast-[0-9a-z]{20}-(new|old)-\d+$/;

/** What stands in an export about a collection, before its records. */
export type StoredCollection = Pick<ApiCollection, "name" | "dimension" | "metadata" | "configuration_json" | "schema">;

export async function listCollections(client: ChromaClient, database: Database, signal: AbortSignal): Promise<readonly ApiCollection[]> {
  const text = await client.send("GET", locateCollections(database), undefined, signal);
  const found = (parseLossless(text) as readonly ApiCollection[]).map((each) => ({ ...each, dimension: readDimension(each.dimension) }));
  return found.toSorted((one, other) => (one.name < other.name ? -1 : 1));
}

export async function countRecords(client: ChromaClient, database: Database, id: string, signal: AbortSignal): Promise<number> {
  return Number(await client.call("GET", `${locateCollections(database)}/${id}/count`, undefined, signal));
}

/** Of a collection that was parsed without loss. */
export const readDimension = (value: unknown): number | null =>
  value === null || value === undefined ? null : Number(JSON.stringify(value));

/** About a megabyte of numbers. */
function choosePageRecords(dimension: number | null): number {
  return Math.min(500, Math.max(10, Math.floor(100_000 / Math.max(1, dimension ?? 1))));
}

const stepsBack = 20;

/**
 * The records that a collection had when it was begun, page by page. Others may write meanwhile: when records before the present place are
 * removed, it goes back until it finds the last one again.
 * @returns notes of what may be missing
 */
export async function* readRecords(
  client: ChromaClient,
  database: Database,
  collection: ApiCollection,
  signal: AbortSignal,
): AsyncGenerator<RecordPage, readonly Note[], undefined> {
  const path = `${locateCollections(database)}/${collection.id}`;
  const wanted = await countRecords(client, database, collection.id, signal);
  const size = choosePageRecords(collection.dimension);
  let last: string | undefined;
  // All of them: a record that is removed and added again stands anew at the end.
  const seen = new Set<string>();
  let given = 0;
  let isLost = false;
  for (let at = 0, back = 0; given < wanted;) {
    const ask = { include: included, offset: at, limit: size + 1 };
    const page = await readPatiently(client, `${path}/get`, JSON.stringify(ask), signal);
    const place = last === undefined ? -1 : page.ids.indexOf(last);
    if (last !== undefined && place === -1 && at > 0 && back < stepsBack) {
      at = Math.max(0, at - size);
      back += 1;
      continue;
    }
    isLost ||= last !== undefined && place === -1;
    const fresh = pickRecords(page, (id, index) => index > place && !seen.has(id));
    if (fresh.ids.length === 0 && page.ids.length <= size) break;
    back = 0;
    given += fresh.ids.length;
    last = page.ids.at(-1);
    for (const id of fresh.ids) seen.add(id);
    at += page.ids.length - 1;
    if (fresh.ids.length > 0) yield fresh;
  }
  const lost: Note = {
    level: "partial",
    code: "records-moved",
    message: `Records of collection "${collection.name}" were removed while it was read, so that others may have been passed over`,
  };
  return isLost || given < wanted ? [lost] : [];
}

const pageTries = 10;
const pageWaitMs = 200;

/** A server answers 500 while a record of the page is being removed: it has found the record, and not its vector any more. */
async function readPatiently(client: ChromaClient, path: string, ask: string, signal: AbortSignal): Promise<RecordPage> {
  for (let tries = 1; ; tries += 1) {
    try {
      return parsePage(await client.send("POST", path, ask, signal), "tool-failed");
    } catch (error) {
      if (tries === pageTries || !(error instanceof HoldfastError) || error.details?.["status"] !== 500) throw error;
    }
    await pause(pageWaitMs, undefined, { signal }).catch(() => undefined);
  }
}

function pickRecords(page: RecordPage, isWanted: (id: string, index: number) => boolean): RecordPage {
  const pick = <Value>(list: readonly Value[]): readonly Value[] => list.filter((_, index) => isWanted(page.ids[index] ?? "", index));
  return {
    ids: pick(page.ids),
    embeddings: pick(page.embeddings),
    documents: pick(page.documents),
    metadatas: pick(page.metadatas),
    uris: pick(page.uris),
  };
}

/** What a database holds, collection by collection, as an export, a restore and a look at the server tell it. */
export class ApiContents {
  readonly #lines: string[] = [];
  readonly #counts: Record<string, number> = {};
  readonly #digests: Record<string, string> = {};
  readonly #dimensions: Record<string, number> = {};

  add({ name, dimension, metadata, configuration_json: configuration }: StoredCollection, sum: RecordSum): void {
    const { hnsw, spann } = configuration as Partial<Record<"hnsw" | "spann", { readonly space?: unknown } | null>>;
    this.#lines.push(describeCanonically([name, sum.count === 0 ? null : dimension, metadata ?? {}, hnsw?.space ?? spann?.space ?? null]));
    this.#counts[`records.${name}`] = sum.count;
    this.#digests[`records.${name}`] = sum.digest();
    if (dimension !== null) this.#dimensions[`dimension.${name}`] = dimension;
  }

  finish(): Contents {
    const collections = createHash("sha256")
      .update(this.#lines.toSorted((one, other) => (one < other ? -1 : 1)).join("\n"))
      .digest("hex");
    return {
      counts: this.#counts,
      digests: { ...this.#digests, collections },
      facts: { collections: this.#lines.length, ...this.#dimensions },
    };
  }
}

/** An export as text: lines of JSON. */
export async function* exportDatabase(
  client: ChromaClient,
  database: Database,
  notes: Note[],
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  yield `${JSON.stringify({ format: "holdfast-chroma-1", ...database })}\n`;
  let collections = 0;
  for (const collection of await listCollections(client, database, signal)) {
    if (ownName.test(collection.name)) continue;
    const { name, dimension, metadata, configuration_json, schema = null } = collection;
    yield `${JSON.stringify({ collection: { name, dimension, metadata, configuration_json, schema } satisfies StoredCollection })}\n`;
    let records = 0;
    const pages = readRecords(client, database, collection, signal);
    for (let next = await pages.next(); ; next = await pages.next()) {
      if (next.done === true) {
        notes.push(...next.value);
        break;
      }
      records += next.value.ids.length;
      yield `${JSON.stringify({ records: next.value })}\n`;
    }
    yield `${JSON.stringify({ end: name, records })}\n`;
    collections += 1;
  }
  yield `${JSON.stringify({ collections })}\n`;
}
