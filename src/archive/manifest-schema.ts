import { z } from "zod";
import { compressionMethods } from "./compression.ts";
import { findNameProblem } from "./name-template.ts";

/** Specified in docs/FORMAT.md. A change that an older version would misread raises this number. */
export const manifestFormat = 1;

const instant = z.iso.datetime();
const count = z.int().nonnegative();
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const measure = z.strictObject({ bytes: count, sha256 });
const note = z.strictObject({ level: z.enum(["info", "warning", "partial"]), code: z.string(), message: z.string() });
const scalar = z.union([z.string(), z.number(), z.boolean()]);
const contents = z.strictObject({
  counts: z.record(z.string(), z.number()),
  digests: z.record(z.string(), z.string()),
  facts: z.record(z.string(), scalar),
});
/** A path inside a backup: relative, without empty, `.` or `..` parts. */
const safePath = z
  .string()
  .min(1)
  .refine(
    (path) => !path.includes("\0") && path.split("/").every((part) => part !== "" && part !== "." && part !== ".."),
    "not a plain relative path",
  );
/** A name that may become part of a file name. */
const plainName = safePath.refine((name) => !/[/\\]/.test(name) && !/^[.-]/.test(name) && name.length <= 200, "not a plain name");

/** How bytes are stored. */
const partShape = {
  stored: measure,
  plain: measure,
  compression: z.enum(compressionMethods),
  encryption: z.null(),
  /** Where the stored bytes begin in the archive file; null in other layouts. */
  offset: count.nullable(),
};

const entrySchema = z.strictObject({
  name: safePath,
  form: z.enum(["file", "tree"]),
  /** The stored object relative to the backup; in an archive the path of the tar entry. */
  object: safePath,
  ...partShape,
  sourcePath: z.string(),
  attributes: z
    .strictObject({ mode: z.int().min(0).max(0o7777), uid: count, gid: count, mtimeNs: z.string().regex(/^-?\d{1,20}$/) })
    .optional(),
});

const memberSchema = z.strictObject({
  datastore: plainName,
  kind: z.string(),
  /** The datastore id: secret-free name of the physical datastore. */
  id: z.string(),
  /** `absent`: optional and not there; a restore re-creates its absence. `failed`: left out, see the notes. */
  status: z.enum(["ok", "partial", "absent", "failed"]),
  entries: z.array(entrySchema),
  contents,
  /** What was read back from the destination before publication. */
  readBack: z.strictObject({ hashes: z.boolean(), format: z.boolean() }),
  /** Name of the text that lists what a tree holds. */
  index: z.string().nullable(),
  notes: z.array(note),
  tookMs: count,
  /** When its state was fixed, where that was before it was dumped or while it was held still; how its source stood, and how long for it. */
  snapshot: z.strictObject({ at: instant, copying: z.enum(["live", "paused", "stopped"]), heldMs: count.optional() }).optional(),
});

export const manifestSchema = z.strictObject({
  format: z.literal(manifestFormat),
  id: z.string(),
  /** The visible name: of the file, or of the directory. */
  name: z.string().refine((name) => findNameProblem(name) === undefined, "not a plain file name"),
  job: z.string(),
  class: z.enum(["backup", "pre-restore"]),
  /** One more than the job's previous backup at this destination. */
  sequence: count,
  /** The hash of the job's previous manifest, null for the first. */
  previous: sha256.nullable(),
  status: z.enum(["ok", "partial"]),
  /** Why the run is suspect (a shrink); empty for a run like the ones before. */
  suspect: z.array(z.string()),
  createdAt: instant,
  finishedAt: instant,
  trigger: z.string(),
  note: z.string().nullable(),
  host: z.string(),
  tools: z.record(z.string(), z.string()),
  layout: z.enum(["directory", "archive", "file"]),
  /** The archive file. `head` is all before the manifest's own tar header; `stored`, all of it, is absent in the copy inside. */
  archive: z.strictObject({ object: safePath, head: measure, stored: measure.optional() }).nullable(),
  members: z.array(memberSchema),
  /** Members that share one restore point: all their snapshots were taken within these instants, while the application was frozen. */
  group: z.strictObject({ firstAt: instant, lastAt: instant, frozenMs: count }).optional(),
  texts: z.array(z.strictObject({ name: safePath, ...partShape })),
  config: z.unknown(),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestMember = Manifest["members"][number];
export type ManifestEntry = ManifestMember["entries"][number];
export type ManifestText = Manifest["texts"][number];
/** What an entry and a text have in common: stored bytes that become plain ones. */
export type ManifestPart = Omit<ManifestText, "name">;
/** The manifest without what only the writer knows. */
export type ManifestDraft = Omit<Manifest, "archive" | "texts" | "layout" | "name" | "format">;
