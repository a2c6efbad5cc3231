import { z } from "zod";
import { HoldfastError } from "../base/errors.ts";
import { sealJson, unsealJson } from "./sealed-json.ts";

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
  .refine((path) => !path.includes("\0") && path.split("/").every((part) => part !== "" && part !== "." && part !== ".."), "not a plain relative path");

const entrySchema = z.strictObject({
  name: safePath,
  form: z.enum(["file", "tree"]),
  /** The stored object relative to the backup; in an archive the path of the tar entry. */
  object: safePath,
  stored: measure,
  plain: measure,
  compression: z.enum(["none", "gzip", "zstd"]),
  encryption: z.null(),
  /** Where the stored bytes begin in the archive file; null in other layouts. */
  offset: count.nullable(),
  sourcePath: z.string(),
  attributes: z.strictObject({ mode: count, uid: count, gid: count, mtimeNs: z.string().regex(/^-?\d+$/) }).optional(),
});

const memberSchema = z.strictObject({
  datastore: z.string(),
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
});

export const manifestSchema = z.strictObject({
  format: z.literal(manifestFormat),
  id: z.string(),
  /** The visible name: of the file, or of the directory. */
  name: safePath.refine((name) => !name.includes("/")),
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
  /** The archive file; its measure is absent in the copy inside the archive itself. */
  archive: z.strictObject({ object: safePath, stored: measure.optional() }).nullable(),
  members: z.array(memberSchema),
  texts: z.array(z.strictObject({ name: safePath, plain: measure })),
  config: z.unknown(),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestMember = Manifest["members"][number];
export type ManifestEntry = ManifestMember["entries"][number];

export function sealManifest(manifest: Manifest): Uint8Array {
  return sealJson(manifestSchema.parse(manifest));
}

/** @throws manifest-invalid, format-unsupported */
export function parseManifest(bytes: Uint8Array, place: string): { readonly manifest: Manifest; readonly sha256: string } {
  const { value, sha256: hash } = unsealJson(bytes, place);
  const format = z.looseObject({ format: z.int() }).safeParse(value);
  if (format.success && format.data.format > manifestFormat) {
    throw new HoldfastError("format-unsupported", `The manifest ${place} has format ${format.data.format}; this version reads up to ${manifestFormat}`, {
      hint: "Use the version of Holdfast that made the backup, or a later one.",
    });
  }
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new HoldfastError("manifest-invalid", `The manifest ${place} is not well formed: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`);
  }
  return { manifest: parsed.data, sha256: hash };
}

/** Sum of plain bytes over all members. */
export function countPlainBytes(manifest: Manifest): number {
  return manifest.members.flatMap(({ entries }) => entries).reduce((sum, entry) => sum + entry.plain.bytes, 0);
}

/** Bytes that the backup takes at its destination, without its texts. */
export function countStoredBytes(manifest: Manifest): number {
  if (manifest.archive?.stored !== undefined) return manifest.archive.stored.bytes;
  return manifest.members.flatMap(({ entries }) => entries).reduce((sum, entry) => sum + entry.stored.bytes, 0);
}
