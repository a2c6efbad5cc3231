import type { ManifestDraft } from "./manifest-schema.ts";
import type { CompressionMethod } from "./compression.ts";
import { describeBytes } from "../base/describe-amount.ts";

export const infoFileNames = ["backup_info.txt", "backup-metadata.json"] as const;
export type InfoFileName = (typeof infoFileNames)[number];

export interface InfoContext {
  readonly draft: ManifestDraft;
  readonly name: string;
  readonly layout: "directory" | "archive" | "file";
  readonly timezone: string;
}

/** The text of an info file that the job asked for (D3, W2, L1). */
export function formatInfoFile(name: InfoFileName, context: InfoContext): string {
  return name === "backup_info.txt" ? formatBackupInfo(context) : formatBackupMetadata(context);
}

function formatBackupInfo({ draft, name, layout, timezone }: InfoContext): string {
  const at = Temporal.Instant.from(draft.createdAt).toZonedDateTimeISO(timezone);
  const date = at.toString({ smallestUnit: "second", timeZoneName: "never" });
  const lines = [
    `Backup:    ${name}`,
    `Date:      ${date} (${timezone})`,
    `Host:      ${draft.host}`,
    `Job:       ${draft.job}`,
    `Type:      ${draft.class === "pre-restore" ? "pre-restore" : draft.trigger}`,
    `Layout:    ${layout}`,
    `Status:    ${draft.status}`,
    ...(draft.note === null ? [] : [`Note:      ${draft.note}`]),
  ];
  for (const member of draft.members) {
    lines.push("", `${member.datastore} (${member.kind}): ${member.status}`);
    for (const entry of member.entries) lines.push(`  ${entry.object}  ${describeBytes(entry.plain.bytes)}`);
    for (const [count, value] of Object.entries(member.contents.counts).toSorted()) lines.push(`    ${describeCount(count)}: ${value}`);
    for (const note of member.notes) lines.push(`    ${note.level}: ${note.message}`);
  }
  return `${lines.join("\n")}\n`;
}

/** `rows.messages` reads better as `messages`, with its unit after it. */
function describeCount(name: string): string {
  return name.startsWith("rows.") ? `rows of ${name.slice("rows.".length)}` : name;
}

function formatBackupMetadata({ draft, name }: InfoContext): string {
  const entries = draft.members.flatMap((member) => member.entries.map((entry) => ({ datastore: member.datastore, ...entry })));
  const metadata = {
    timestamp: draft.createdAt,
    name,
    files: entries.map(({ object }) => object),
    backedUpFiles: entries.length,
    status: draft.status,
    note: draft.note,
    details: entries.map(({ datastore, object, plain }) => ({ datastore, file: object, bytes: plain.bytes, sha256: plain.sha256 })),
  };
  return `${JSON.stringify(metadata, undefined, 2)}\n`;
}

const quote = (text: string): string => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** The exact commands that bring the data back without Holdfast (promise 7). */
export function formatRestoreText({ draft, name, layout }: InfoContext): string {
  const stem = name.replace(/\.tar(\.gz|\.zst)?$/, "");
  const lines = [
    `How to restore ${name} without Holdfast`,
    "",
    "Stop the application first. Keep what is there now: move it aside, do not delete it.",
    "With Holdfast: holdfast restore --offline PATH-OF-THIS-BACKUP",
    "",
  ];
  if (layout === "archive") lines.push("Unpack (in an empty directory):", `  ${describeUnpack(name)}`, `  cd ${quote(stem)}`, "");
  for (const member of draft.members) {
    lines.push(`${member.datastore} (${member.kind})`);
    if (member.status === "absent") lines.push("  was not there when the backup was made; remove or move away what is there now");
    for (const entry of member.entries) lines.push(...describeEntry(entry, member.kind, layout).map((line) => `  ${line}`));
    lines.push("");
  }
  lines.push("Hashes of all parts stand in the manifest: compare with sha256sum before you trust a copy.");
  return `${lines.join("\n")}\n`;
}

function describeUnpack(name: string): string {
  if (name.endsWith(".zst")) return `zstd -dc ${quote(name)} | tar -xf -`;
  return `tar ${name.endsWith(".gz") ? "-xzf" : "-xf"} ${quote(name)}`;
}

function describeEntry(entry: ManifestDraft["members"][number]["entries"][number], kind: string, layout: InfoContext["layout"]): readonly string[] {
  const method: CompressionMethod = layout === "archive" ? "none" : entry.compression;
  const read = { none: `cat ${quote(entry.object)}`, gzip: `gzip -dc ${quote(entry.object)}`, zstd: `zstd -dc ${quote(entry.object)}` }[method];
  const target = quote(entry.sourcePath);
  if (entry.form === "tree") return [`mkdir -p ${target} && ${read} | tar -xf - -C ${target} --same-owner --same-permissions --xattrs --acls --numeric-owner`];
  const attributes = entry.attributes;
  return [
    ...(kind === "sqlite" ? [`rm -f ${quote(`${entry.sourcePath}-wal`)} ${quote(`${entry.sourcePath}-shm`)} ${quote(`${entry.sourcePath}-journal`)}   # a stale -wal would undo the restore`] : []),
    `${read} > ${target}`,
    ...(attributes === undefined ? [] : [`chown ${attributes.uid}:${attributes.gid} ${target} && chmod ${attributes.mode.toString(8).padStart(4, "0")} ${target}`]),
  ];
}

