/** A collection as the database of a server knows it. */
export interface CollectionFacts {
  readonly id: string;
  readonly tenant: string;
  readonly database: string;
  readonly name: string;
  readonly dimension: number | null;
  readonly records: number;
  /** Segment whose index lies in a directory of that name; null where there is none. */
  readonly vectorSegment: string | null;
  /** The log's number up to which the index on disk holds everything; null before its first flush. */
  readonly flushedTo: number | null;
  /** Ids of records whose vectors are asked for; see child.ts for which. */
  readonly samples: readonly string[];
  /** How many of them, the first ones, are the last that the index on disk must hold. */
  readonly newestSamples: number;
}

export interface Examination {
  readonly collections: readonly CollectionFacts[];
  readonly integrity: "ok" | "damaged";
  /** Of the collections as they were declared: names, ids, configuration. */
  readonly digest: string;
  readonly problems: readonly string[];
}

/** `name`, or `tenant/database/name` where that is not the usual place. */
export function nameCollection({ tenant, database, name }: Pick<CollectionFacts, "tenant" | "database" | "name">): string {
  return tenant === "default_tenant" && database === "default_database" ? name : `${tenant}/${database}/${name}`;
}
