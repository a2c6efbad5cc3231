import { ChromaClient, type Endpoint } from "./client.ts";
import { findThemselves, type IndexProof, type Miss } from "./prove-indexes.ts";

/*
 * A search by neighbours is approximate: of records that are in an index, a query by their own vectors finds all until records are
 * changed and removed. After that a server misses some in data that nothing is wrong with (measured: 7 of 100 where each record of a
 * clustered collection had been replaced once). So one that is missed proves nothing by itself. What tells is whether the source misses
 * it too; where nobody can ask that, the last records that were written to the index are looked at: those are what a copy lacks that
 * was made at the wrong moment.
 */

/** What is to be thought of records that the index of a copy has and does not find. */
export interface MissJudgement {
  /** One line for each collection whose index is broken. */
  readonly broken: readonly string[];
  /** The live server was asked, and does not find them either, but for a few: it has a part of its index in memory alone. */
  readonly isAsAtSource: boolean;
}

/** Beyond every rate that was seen in whole data. */
const brokenShare = 1 / 4;
/** Of the last ones, and never fewer than `brokenNewest`. */
const brokenNewestShare = 1 / 3;
const brokenNewest = 3;

/** Without a source to ask. `known`: so many were missed when the same files were copied. */
export function judgeMisses({ missed, asked, queried }: IndexProof, known?: number): MissJudgement {
  // The server makes the last part of an index anew from its log, each time a little differently.
  if (known !== undefined) {
    const most = known + 1 + Math.floor(queried / 50);
    const broken =
      missed.length <= most
        ? []
        : [`of ${queried} records, ${missed.length} are not found by their own vectors (${describeMisses(missed)}), and ${known} before`];
    return { broken, isAsAtSource: false };
  }
  const broken = Object.entries(asked).flatMap(([collection, { all, newest }]) => {
    const lacking = missed.filter((miss) => miss.collection === collection);
    const late = lacking.filter((miss) => miss.isNewest).length;
    if (late >= brokenNewest && late > newest * brokenNewestShare)
      return [
        `of the ${newest} last records of collection "${collection}", ${late} are not found by their own vectors (${describeMisses(lacking)})`,
      ];
    if (lacking.length > 1 && lacking.length > all * brokenShare)
      return [
        `of ${all} records of collection "${collection}", ${lacking.length} are not found by their own vectors (${describeMisses(lacking)})`,
      ];
    return [];
  });
  return { broken, isAsAtSource: false };
}

/** Asks the server whose data was copied. Undefined when it does not answer. */
export async function judgeBySource(missed: readonly Miss[], endpoint: Endpoint, signal: AbortSignal): Promise<MissJudgement | undefined> {
  const client = new ChromaClient(endpoint);
  const broken: string[] = [];
  let found = 0;
  try {
    for (const collection of new Set(missed.map((miss) => miss.collection))) {
      const lacking = missed.filter((miss) => miss.collection === collection);
      const [first] = lacking;
      if (first === undefined) continue;
      const vectors = new Map(lacking.map(({ id, vector }) => [id, vector]));
      const there = await findThemselves(client, first.place, vectors, signal);
      found += there.size;
      // What was written since may have made a way to one of them.
      if (there.size * 2 > lacking.length)
        broken.push(
          `the server finds ${there.size} of ${lacking.length} records of collection "${collection}" by their vectors that the copy has and does not find (${describeMisses(lacking)})`,
        );
    }
  } catch (error) {
    if (signal.aborted) throw error;
    return undefined;
  }
  return { broken, isAsAtSource: found * 4 <= missed.length };
}

/** The first of them, for people. */
export function describeMisses(missed: readonly Pick<Miss, "collection" | "id">[]): string {
  const first = missed.slice(0, 3).map(({ collection, id }) => `${collection}: ${id}`);
  return first.join(", ") + (missed.length > 3 ? ", …" : "");
}
