import { describeBytes } from "./describe-amount.ts";

type Counts = Readonly<Record<string, number>>;

/** A number of which a backup and what is there now differ. `null`: not there at all. */
export interface CountDifference {
  /** `messages`, `db0`, `files`. */
  readonly name: string;
  readonly what: "rows" | "keys" | "records" | "files" | "bytes";
  readonly now: number | null;
  readonly coming: number | null;
}

const number = new Intl.NumberFormat("en-US");
const plural = (count: number, word: string): string => `${number.format(count)} ${word}${count === 1 ? "" : "s"}`;

const listNamed = (counts: Counts, prefix: string): readonly (readonly [string, number])[] =>
  Object.entries(counts).flatMap(([name, count]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), count] as const] : []));

/** `3 tables, 1,204 rows`; undefined where nothing that people count is known. */
export function describeCounts(counts: Counts): string | undefined {
  const tables = listNamed(counts, "rows.");
  const databases = listNamed(counts, "keys.");
  const collections = listNamed(counts, "records.");
  const sum = (named: readonly (readonly [string, number])[]): number => named.reduce((all, [, count]) => all + count, 0);
  const parts = [
    ...(tables.length === 0 ? [] : [plural(tables.length, "table"), plural(sum(tables), "row")]),
    ...(databases.length === 0
      ? []
      : [`${plural(sum(databases), "key")}${databases.length === 1 ? "" : ` in ${databases.length} databases`}`]),
    ...(collections.length === 0 ? [] : [plural(collections.length, "collection"), plural(sum(collections), "record")]),
    ...(counts["nodes"] === undefined ? [] : [plural(counts["nodes"], "node")]),
    ...(counts["relationships"] === undefined ? [] : [plural(counts["relationships"], "relationship")]),
    ...(counts["files"] === undefined ? [] : [plural(counts["files"], "file")]),
    ...(counts["bytes"] === undefined ? [] : [describeBytes(counts["bytes"])]),
  ];
  return parts.length === 0 ? undefined : parts.join(", ");
}

/** Of what both sides count, the differences; what only one side knows how to count is no difference. */
export function compareCounts(now: Counts, then: Counts): readonly CountDifference[] {
  const kinds = [
    ["rows.", "rows"],
    ["keys.", "keys"],
    ["records.", "records"],
  ] as const;
  const named = kinds.flatMap(([prefix, what]) => {
    const [present, coming] = [new Map(listNamed(now, prefix)), new Map(listNamed(then, prefix))];
    // Only the files were counted, not what is in them.
    if (present.size === 0 && now["files"] !== undefined) return [];
    return [...new Set([...present.keys(), ...coming.keys()])]
      .toSorted()
      .map((name): CountDifference => ({ name, what, now: present.get(name) ?? null, coming: coming.get(name) ?? null }));
  });
  const plain = (["files", "bytes"] as const).flatMap((name): CountDifference[] => {
    const [present, coming] = [now[name], then[name]];
    return present === undefined || coming === undefined ? [] : [{ name, what: name, now: present, coming }];
  });
  return [...named, ...plain].filter((each) => each.now !== each.coming);
}

/** `messages 1,204 → 1,180`, `drafts 12 → gone`. */
export function describeDifference({ name, what, now, coming }: CountDifference): string {
  const side = (count: number | null, none: string): string =>
    count === null ? none : what === "bytes" ? describeBytes(count) : number.format(count);
  return `${name} ${side(now, "not there")} → ${side(coming, "gone")}`;
}
