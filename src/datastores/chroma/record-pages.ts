import { createHash } from "node:crypto";
import { HoldfastError } from "../../base/errors.ts";
import { describeCanonically, parseLossless, type RawNumber } from "./lossless-json.ts";

/** Records as the server's API takes and gives them; all arrays have the length of `ids`. */
export interface RecordPage {
  readonly ids: readonly string[];
  readonly embeddings: readonly (readonly RawNumber[])[];
  readonly documents: readonly (string | null)[];
  readonly metadatas: readonly (Readonly<Record<string, unknown>> | null)[];
  readonly uris: readonly (string | null)[];
}

/** What a page is asked with. */
export const included = ["embeddings", "documents", "metadatas", "uris"];

/** @throws HoldfastError with `code` for what is no page */
export function readPage(value: unknown, code: "backup-damaged" | "tool-failed"): RecordPage {
  const { ids, embeddings, documents, metadatas, uris } = (value ?? {}) as Partial<Record<keyof RecordPage, unknown>>;
  const isWhole = (list: unknown): list is readonly unknown[] => Array.isArray(list) && Array.isArray(ids) && list.length === ids.length;
  if (
    !isWhole(ids) ||
    !isWhole(embeddings) ||
    !ids.every((id) => typeof id === "string") ||
    !embeddings.every((each) => Array.isArray(each))
  )
    throw new HoldfastError(code, "a page of records is not what it should be");
  const orNulls = (list: unknown): readonly null[] => (isWhole(list) ? (list as readonly null[]) : ids.map(() => null));
  return {
    ids,
    embeddings: embeddings as RecordPage["embeddings"],
    documents: orNulls(documents),
    metadatas: orNulls(metadatas),
    uris: orNulls(uris),
  };
}

export const parsePage = (text: string, code: "backup-damaged" | "tool-failed"): RecordPage => readPage(parseLossless(text), code);

/**
 * Counts records and hashes what they are besides their vectors, whatever order they come in. Vectors are compared one by one where they are
 * written: where the space is cosine, a server keeps them scaled, and gives them back but for their last bit.
 */
export class RecordSum {
  #sum = 0n;
  count = 0;

  add(page: RecordPage): void {
    page.ids.forEach((id, index) => {
      const line = describeCanonically([id, page.documents[index], page.uris[index], page.metadatas[index]]);
      this.#sum = BigInt.asUintN(256, this.#sum + BigInt(`0x${createHash("sha256").update(line).digest("hex")}`));
      this.count += 1;
    });
  }

  digest(): string {
    return this.#sum.toString(16).padStart(64, "0");
  }
}

const tolerance = 1e-4;

/** The first record whose vector is another one, beyond what scaling does to it. */
export function findOtherVector(written: RecordPage, found: RecordPage): string | undefined {
  const places = new Map(found.ids.map((id, index) => [id, index]));
  return written.ids.find((id, index) => {
    const one = written.embeddings[index] ?? [];
    const other = found.embeddings[places.get(id) ?? -1];
    if (other?.length !== one.length) return true;
    const largest = one.reduce((most, { rawJSON }) => Math.max(most, Math.abs(Number(rawJSON))), 0);
    return one.some(({ rawJSON }, at) => !(Math.abs(Number(rawJSON) - Number(other[at]?.rawJSON)) <= tolerance * largest));
  });
}
