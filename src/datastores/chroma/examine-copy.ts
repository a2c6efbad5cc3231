import { join } from "node:path";
import type { Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { type Examination, nameCollection } from "./catalog.ts";
import type { Endpoint } from "./client.ts";
import { databaseName } from "./data-directory.ts";
import { findIndexFaults, findLink } from "./index-files.ts";
import type { ChromaOptions } from "./options.ts";
import { judgeBySource, judgeMisses, type MissJudgement, describeMisses } from "./judge-misses.ts";
import { type IndexProof, proveIndexes } from "./prove-indexes.ts";
import { runChild } from "./run-child.ts";
import { findServerProgram, noProgramNote, openScratchServer } from "./scratch-server.ts";

/** A whole copy of a data directory that nobody else touches. */
export interface Copy {
  readonly root: string;
  readonly stagingDir: string;
  /** How many records of each collection are asked for. */
  readonly samples: number;
  readonly options: Pick<ChromaOptions, "server">;
  /** The server whose data was copied, where it can be asked; `known`: how many records its index did not find then. */
  readonly source?: Endpoint | { readonly known: number } | undefined;
}

export interface ExaminedCopy {
  readonly examination: Examination;
  /** Undefined where no server program was found. */
  readonly proof: IndexProof | undefined;
  readonly faults: readonly string[];
  readonly judgement: MissJudgement;
}

/** Reads the database of a copy, looks at its indexes, and has a private server answer by them. */
export async function examineCopy(copy: Copy, signal: AbortSignal): Promise<ExaminedCopy> {
  const { root, stagingDir, samples, options, source } = copy;
  const link = await findLink(root);
  if (link !== undefined) throw new HoldfastError("source-corrupt", `${link} is a link: what it leads to is not in the copy`);
  const examination = await runChild({ op: "examine", path: join(root, databaseName), samples }, { identity: null }, signal);
  const faults = await findIndexFaults(root, examination.collections);
  const program = findServerProgram(options);
  if (program === undefined || faults.length > 0)
    return { examination, faults, proof: undefined, judgement: { broken: [], isAsAtSource: false } };
  await using server = await openScratchServer({ program, root, stagingDir }, signal);
  const proof = await proveIndexes(server.client, examination.collections, signal);
  const asked =
    source !== undefined && "url" in source && proof.missed.length > 0 ? await judgeBySource(proof.missed, source, signal) : undefined;
  const known = source !== undefined && "known" in source ? source.known : undefined;
  return { examination, faults, proof, judgement: asked ?? judgeMisses(proof, known) };
}

/** @throws a fault of the copy in one message; `code` says whose it is */
export function assertWhole(
  { examination, faults, proof, judgement }: ExaminedCopy,
  code: "source-changed" | "source-corrupt" | "backup-damaged",
  hint: string,
): void {
  const lost = proof?.lost ?? [];
  const reasons = [
    ...faults,
    ...(lost.length === 0
      ? []
      : [
          `of ${proof?.queried} records that were asked for, the indexes lack ${lost.length} (${lost.slice(0, 3).join(", ")}${lost.length > 3 ? ", …" : ""})`,
        ]),
    ...judgement.broken,
    ...(code === "backup-damaged" && examination.integrity === "damaged" ? examination.problems : []),
  ];
  if (reasons.length > 0) throw new HoldfastError(code, reasons.join("; "), { hint });
}

/** What a member holds besides its files. */
export function describeContents({ examination, proof }: Pick<ExaminedCopy, "examination" | "proof">, samples: number): Contents {
  const { collections, integrity, digest } = examination;
  const records = collections.map((each) => [`records.${nameCollection(each)}`, each.records] as const);
  const dimensions = collections.flatMap((each) =>
    each.dimension === null ? [] : [[`dimension.${nameCollection(each)}`, each.dimension] as const],
  );
  return {
    counts: Object.fromEntries(records),
    digests: { collections: digest, integrity },
    facts: {
      collections: collections.length,
      ...Object.fromEntries(dimensions),
      indexes: proof === undefined ? "not proven" : "proven by queries",
      ...(proof === undefined ? {} : { samples, queried: proof.queried, missed: proof.missed.length, samplesDigest: proof.digest }),
    },
  };
}

export function describeProof({
  examination,
  proof,
  judgement,
}: Pick<ExaminedCopy, "examination" | "proof" | "judgement">): readonly Note[] {
  const notes: Note[] = examination.problems.map((message) => ({ level: "partial", code: "source-damaged", message }));
  if (proof === undefined) notes.push(noProgramNote);
  else if (proof.missed.length > 0)
    notes.push({
      level: judgement.isAsAtSource ? "warning" : "partial",
      code: "index-misses",
      message: `Of ${proof.queried} records, ${proof.missed.length} are in the index and not found by their own vectors${judgement.isAsAtSource ? ", nor, but for a few, by the server itself" : "; with `url` the server itself would be asked for them"}: ${describeMisses(proof.missed)}`,
    });
  return notes;
}
