/** A number as it was written: 2.0 is another type than 2 to the server, and 64-bit integers do not fit a double. */
export interface RawNumber {
  readonly rawJSON: string;
}

const { rawJSON, isRawJSON } = JSON as unknown as {
  readonly rawJSON: (text: string) => RawNumber;
  readonly isRawJSON: (value: unknown) => boolean;
};
type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;

/** Parses JSON so that `JSON.stringify` of the result gives each number back as it was. */
export function parseLossless(text: string): unknown {
  const revive: Reviver = (_key, value, { source }) => (typeof value === "number" && source !== undefined ? rawJSON(source) : value);
  return JSON.parse(text, revive as (key: string, value: unknown) => unknown);
}

/** A text of a value that does not depend on the order of keys. */
export function describeCanonically(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(describeCanonically).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value ?? null);
  if (isRawJSON(value)) return JSON.stringify(value);
  const entries = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${describeCanonically(each)}`).join(",")}}`;
}
