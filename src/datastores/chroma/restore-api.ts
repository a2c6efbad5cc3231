import { createHash } from "node:crypto";
import { type Contents, emptyContents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import { createId } from "../../base/ids.ts";
import { prefixError } from "../../base/prefix-error.ts";
import type { DriverContext, RestoreOptions, RestoreSession, SavedMember, StoredEntry, SwapStep, TargetFacts } from "../contract.ts";
import { ApiContents, countRecords, type Database, listCollections, ownName, readRecords, type StoredCollection } from "./api-export.ts";
import { type ApiPlace, removeStaged, rename } from "./api-steps.ts";
import type { CollectionFacts } from "./catalog.ts";
import { type ApiCollection, type ChromaClient, locateCollections } from "./client.ts";
import { describeMisses } from "./judge-misses.ts";
import { proveIndexes } from "./prove-indexes.ts";
import { type ExportPart, readExport } from "./read-export.ts";
import { findOtherVector, included, parsePage, type RecordPage, RecordSum } from "./record-pages.ts";

/** Where an export is loaded into. */
export interface ApiTarget extends Database {
  readonly client: ChromaClient;
  /** The server's address, for the record; absent for a private one, which goes away as a whole. */
  readonly url?: string;
  readonly samples: number;
}

type Recorder = (step: SwapStep) => Promise<void>;

/**
 * Loads an export into new collections beside those of a database, compares record by record and queries them; then all collections of the
 * database change their names with them.
 */
export class ApiRestore implements RestoreSession {
  readonly #target: ApiTarget;
  readonly #context: Pick<DriverContext, "name" | "progress">;
  readonly #record: RestoreOptions["record"];
  readonly #place: ApiPlace;
  readonly #staged: { readonly id: string; readonly from: string; readonly to: string }[] = [];
  #begun = false;

  constructor(target: ApiTarget, restoring: RestoreOptions, context: Pick<DriverContext, "name" | "progress">) {
    this.#target = target;
    this.#context = context;
    this.#record = restoring.record;
    const { tenant, database, url = "" } = target;
    this.#place = { url, tenant, database, prefix: `holdfast-${createId(Date.now())}` };
  }

  async inspect(signal: AbortSignal): Promise<TargetFacts> {
    const collections = await this.#listPresent(signal);
    return {
      summary: collections.length === 0 ? "no collections" : `${collections.length} collections`,
      present: collections.length > 0,
      bytes: 0,
      method: "loads new collections beside the old ones and gives them their names",
      neededBytes: 0,
      notes: [],
      users: [],
    };
  }

  async count(signal: AbortSignal): Promise<Readonly<Record<string, number>> | undefined> {
    const { client } = this.#target;
    const counts: Record<string, number> = {};
    for (const { id, name } of await this.#listPresent(signal))
      counts[`records.${name}`] = await countRecords(client, this.#target, id, signal);
    return counts;
  }

  async stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    try {
      let contents: Contents | undefined;
      for await (const entry of entries) {
        if (entry.form !== "file" || contents !== undefined)
          throw new HoldfastError("backup-damaged", `"${entry.name}": one export was expected`);
        await this.#record?.({ op: "chroma", ...this.#place });
        contents = await this.#load(entry, signal);
      }
      return contents ?? emptyContents;
    } catch (error) {
      throw prefixError(`Cannot restore "${this.#context.name}"`, error);
    }
  }

  /** Reads all that is there: a collection may have been written to by its id since it was saved. Vectors alone are not compared. */
  async assertSaved({ contents }: SavedMember, signal: AbortSignal): Promise<void> {
    const unsaved: string[] = [];
    for (const collection of await this.#listPresent(signal)) {
      const name = `records.${collection.name}`;
      const sum = await this.#sumRecords(collection, signal);
      if (sum.count !== contents.counts[name] || sum.digest() !== (contents.digests[name] ?? sum.digest())) unsaved.push(collection.name);
    }
    if (unsaved.length === 0) return;
    throw new HoldfastError(
      "target-unsafe",
      `Cannot restore "${this.#context.name}": the collections ${unsaved.join(", ")} were made or changed meanwhile, which is not saved`,
      {
        hint: "Stop the application for the restore.",
      },
    );
  }

  async swap(record: Recorder, signal: AbortSignal): Promise<void> {
    const { client } = this.#target;
    const { prefix } = this.#place;
    let number = 0;
    const move = async (
      op: "chroma-aside" | "chroma-place",
      { id, from, to }: { readonly id: string; readonly from: string; readonly to: string },
    ) => {
      await record({ op, ...this.#place, id, from, to });
      this.#begun = true;
      await rename(client, this.#target, id, to, signal);
    };
    for (const { id, name } of await this.#listPresent(signal)) {
      number += 1;
      await move("chroma-aside", { id, from: name, to: `${prefix}-old-${number}` });
    }
    for (const staged of this.#staged) await move("chroma-place", staged);
  }

  async summarize(signal: AbortSignal): Promise<Contents> {
    const contents = new ApiContents();
    for (const collection of await this.#listPresent(signal)) {
      contents.add(collection, await this.#sumRecords(collection, signal));
    }
    return contents.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#begun && this.#staged.length > 0) await removeStaged(this.#target.client, this.#place, "new", new AbortController().signal);
  }

  async #listPresent(signal: AbortSignal): Promise<readonly ApiCollection[]> {
    return (await listCollections(this.#target.client, this.#target, signal)).filter(({ name }) => !ownName.test(name));
  }

  async #sumRecords(collection: ApiCollection, signal: AbortSignal): Promise<RecordSum> {
    const sum = new RecordSum();
    for await (const page of readRecords(this.#target.client, this.#target, collection, signal)) sum.add(page);
    return sum;
  }

  async #load(entry: StoredEntry, signal: AbortSignal): Promise<Contents> {
    const parts = readExport(entry.open(signal));
    const loaded: CollectionFacts[] = [];
    const contents = new ApiContents();
    let current: LoadedCollection | undefined;
    let next = await parts.next();
    try {
      for (; next.done !== true; next = await parts.next()) {
        this.#context.progress({ phase: "loading" });
        const part: ExportPart = next.value;
        if (part.part === "collection") current = await this.#make(part.collection, signal);
        else if (current === undefined) throw new HoldfastError("internal", "Bug: records without a collection");
        else if (part.part === "records") await this.#addPage(current, part.page, signal);
        else {
          const made = (await listCollections(this.#target.client, this.#target, signal)).find(({ id }) => id === current?.id);
          if (made === undefined)
            throw new HoldfastError("restore-failed", `collection "${part.collection.name}" has gone while it was loaded`);
          contents.add({ ...made, name: part.collection.name }, current.sum);
          loaded.push(describeLoaded(current, made, this.#target));
        }
      }
    } finally {
      if (next.done !== true) await parts.return(emptyContents);
    }
    const proof = await proveIndexes(this.#target.client, loaded, signal);
    if (proof.lost.length > 0 || proof.missed.length * 10 > proof.queried)
      throw new HoldfastError(
        "restore-failed",
        `of ${proof.queried} records that were loaded, the server does not find ${proof.lost.length > 0 ? proof.lost.slice(0, 3).join(", ") : describeMisses(proof.missed)} by their vectors`,
      );
    return contents.finish();
  }

  async #make(
    { name, metadata, configuration_json: configuration, schema }: StoredCollection,
    signal: AbortSignal,
  ): Promise<LoadedCollection> {
    const { client } = this.#target;
    const from = `${this.#place.prefix}-new-${this.#staged.length + 1}`;
    const common = { name: from, ...(metadata === null ? {} : { metadata }) };
    const path = locateCollections(this.#target);
    // A schema says all that the configuration says; a server takes one of the two, and older ones know no schema.
    const make = (more: object): Promise<ApiCollection> => client.call<ApiCollection>("POST", path, { ...common, ...more }, signal);
    const made = await (schema === null || schema === undefined ? make({ configuration }) : make({ schema }));
    this.#staged.push({ id: made.id, from, to: name });
    return { id: made.id, name: from, sum: new RecordSum(), samples: [] };
  }

  async #addPage(loaded: LoadedCollection, page: RecordPage, signal: AbortSignal): Promise<void> {
    const { client, samples } = this.#target;
    const path = `${locateCollections(this.#target)}/${loaded.id}`;
    await client.send("POST", `${path}/add`, JSON.stringify(page), signal);
    const text = await client.send("POST", `${path}/get`, JSON.stringify({ ids: page.ids, include: included }), signal);
    const found = parsePage(text, "tool-failed");
    const other = findOtherVector(page, found);
    if (other !== undefined)
      throw new HoldfastError("restore-failed", `the server has another vector for record "${other}" than it was given`);
    loaded.sum.add(found);
    const ranked = [...loaded.samples, ...page.ids].toSorted((one, two) => (rank(one) < rank(two) ? -1 : 1));
    loaded.samples = ranked.slice(0, samples);
  }
}

interface LoadedCollection {
  readonly id: string;
  readonly name: string;
  readonly sum: RecordSum;
  samples: readonly string[];
}

/** An order that has nothing to do with that in which records come. */
const rank = (id: string): string => createHash("sha256").update(id).digest("hex");

function describeLoaded({ id, samples, sum }: LoadedCollection, made: ApiCollection, { tenant, database }: Database): CollectionFacts {
  return {
    id,
    tenant,
    database,
    name: made.name,
    dimension: made.dimension,
    records: sum.count,
    vectorSegment: null,
    flushedTo: null,
    newestSamples: 0,
    samples,
  };
}
