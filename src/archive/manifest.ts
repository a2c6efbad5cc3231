import { z } from "zod";
import { HoldfastError } from "../base/errors.ts";
import { findContradiction } from "./manifest-contradictions.ts";
import { manifestFormat, manifestSchema, type Manifest } from "./manifest-schema.ts";
import { manifestLimitBytes, sealJson, unsealJson } from "./sealed-json.ts";

export type { Manifest, ManifestDraft, ManifestEntry, ManifestMember } from "./manifest-schema.ts";

/** @throws config-invalid when it would be larger than what is read back */
export function sealManifest(manifest: Manifest): Uint8Array {
  const parsed = manifestSchema.safeParse(manifest);
  const problem = parsed.success ? findContradiction(parsed.data) : describeIssue(parsed.error);
  if (!parsed.success || problem !== undefined)
    throw new HoldfastError("internal", `Bug: the manifest of ${manifest.name} is not well formed: ${problem ?? ""}`);
  const sealed = sealJson(parsed.data);
  if (sealed.length <= manifestLimitBytes) return sealed;
  throw new HoldfastError(
    "config-invalid",
    `The manifest of ${manifest.name} would have ${sealed.length} bytes, more than ${manifestLimitBytes}: too many single files`,
    {
      hint: "Back up their directory as one tree: `root` instead of `include`.",
    },
  );
}

/** @throws manifest-invalid, format-unsupported */
export function parseManifest(bytes: Uint8Array, place: string): { readonly manifest: Manifest; readonly sha256: string } {
  const { value, sha256: hash } = unsealJson(bytes, place);
  const format = z.looseObject({ format: z.int() }).safeParse(value);
  if (format.success && format.data.format > manifestFormat) {
    throw new HoldfastError(
      "format-unsupported",
      `The manifest ${place} has format ${format.data.format}; this version reads up to ${manifestFormat}`,
      {
        hint: "Use the version of Holdfast that made the backup, or a later one.",
      },
    );
  }
  const parsed = manifestSchema.safeParse(value);
  const problem = parsed.success ? findContradiction(parsed.data) : describeIssue(parsed.error);
  if (parsed.success && problem === undefined) return { manifest: parsed.data, sha256: hash };
  throw new HoldfastError("manifest-invalid", `The manifest ${place} is not well formed: ${clip(problem ?? "")}`, {
    hint: "This backup cannot be trusted; use another one.",
  });
}

/** What a hostile manifest names must not fill a log, nor break its lines. */
function clip(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
  return line.length <= 300 ? line : `${line.slice(0, 300)}…`;
}

function describeIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  return `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`;
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
