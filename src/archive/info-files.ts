import type { ManifestDraft } from "./manifest-schema.ts";
import type { CompressionMethod } from "./compression.ts";
import { describeBytes } from "../base/describe-amount.ts";
import { describeGroup, describeSnapshot } from "./describe-snapshot.ts";
import { describeServerEntry, quote } from "./restore-commands.ts";
import { formatArchiveFolder } from "./archive-folder.ts";

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

type Member = ManifestDraft["members"][number];
type Entry = Member["entries"][number];

function formatBackupInfo({ draft, name, layout, timezone }: InfoContext): string {
  const at = Temporal.Instant.from(draft.createdAt).toZonedDateTimeISO(timezone);
  const fields: readonly (readonly [string, string])[] = [
    ["Backup", name],
    ["Date", `${at.toString({ smallestUnit: "second", timeZoneName: "never" })} (${timezone})`],
    ...(layout === "directory" ? [["Directory", name] as const] : []),
    ["Type", `${draft.class}, ${layout}, by ${draft.trigger}`],
    ["Job", draft.job],
    ["Host", draft.host],
    ["Status", draft.status],
    ...(draft.note === null ? [] : [["Note", draft.note] as const]),
    ...(draft.group === undefined ? [] : [["Group", describeGroup(draft.group)] as const]),
  ];
  const lines = fields.map(([title, value]) => `${`${title}:`.padEnd(11)}${makeLine(value)}`);
  for (const member of draft.members) lines.push("", ...describeMember(member, layout));
  return `${lines.join("\n")}\n`;
}

/** The outcome, each file with its size, and the statistics: rows per table, keys, files. */
function describeMember(member: Member, layout: InfoContext["layout"]): readonly string[] {
  const { datastore, kind, status, entries, contents, notes } = member;
  const bytes = entries.reduce((sum, { plain }) => sum + plain.bytes, 0);
  const lines = [
    `${datastore} (${kind}): ${status}${entries.length === 0 ? "" : `, ${describeCount("file", entries.length)}, ${describeBytes(bytes)}`}`,
  ];
  const copied = describeSnapshot(member);
  if (copied !== undefined) lines.push(`  ${copied}`);
  const counts = Object.entries(contents.counts).toSorted(([one], [other]) => (one < other ? -1 : 1));
  const rows = counts.filter(([count]) => count.startsWith(rowsPrefix));
  for (const entry of entries) lines.push(`  ${makeLine(entry.object)}  ${describeSize(entry, layout)}`);
  for (const [count, value] of rows) lines.push(`  ${makeLine(count.slice(rowsPrefix.length))}: ${describeCount("row", value)}`);
  for (const [count, value] of counts) if (!count.startsWith(rowsPrefix)) lines.push(`  ${makeLine(count)}: ${value}`);
  for (const { level, message } of notes) lines.push(`  ${level}: ${makeLine(message)}`);
  return lines;
}

/** What `ls` shows, where the files are unpacked with the archive what that gives. */
function describeSize({ stored, plain, compression }: Entry, layout: InfoContext["layout"]): string {
  if (layout === "archive" || compression === "none") return describeBytes(plain.bytes);
  return `${describeBytes(stored.bytes)} (${describeBytes(plain.bytes)} unpacked)`;
}

const rowsPrefix = "rows.";

function describeCount(unit: string, value: number): string {
  return `${value} ${unit}${value === 1 ? "" : "s"}`;
}

/** A name may hold anything; in a text for people it stays on its line. */
function makeLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
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

/** The exact commands that bring the data back without Holdfast (promise 7): the lines that are indented are for `sh`. */
export function formatRestoreText({ draft, name, layout }: InfoContext): string {
  const lines = [
    `How to restore ${name} without Holdfast`,
    "",
    "Stop the application first. Move what is there now aside, do not delete it.",
    "With Holdfast on any machine: holdfast restore --offline PATH-OF-THIS-BACKUP",
    "",
    layout === "archive"
      ? "Unpack, in an empty directory that has the archive in it:"
      : "Go to the directory that has this file in it, as root. Then, in a shell:",
  ];
  if (layout === "archive") lines.push(`  ${describeUnpack(name)}`, `  cd ${quote(formatArchiveFolder(name))}`);
  for (const member of draft.members) {
    lines.push("", `${member.datastore} (${member.kind})`);
    if (member.status === "absent") lines.push("  # was not there when the backup was made: move away what is there now");
    if (member.status === "failed") lines.push("  # is not in this backup");
    for (const entry of member.entries) lines.push(...describeEntry(entry, member.kind, layout).map((line) => `  ${line}`));
  }
  lines.push("", "More hashes stand in the manifest, a JSON file.");
  return `${lines.join("\n")}\n`;
}

function describeUnpack(name: string): string {
  if (name.endsWith(".zst")) return `zstd -dc ${quote(name)} | tar -xf - --no-same-owner`;
  return `tar ${name.endsWith(".gz") ? "-xzf" : "-xf"} ${quote(name)} --no-same-owner`;
}

function describeEntry(entry: Entry, kind: string, layout: InfoContext["layout"]): readonly string[] {
  const { object, sourcePath, attributes } = entry;
  const method: CompressionMethod = layout === "archive" ? "none" : entry.compression;
  const from = quote(object);
  const read = { none: `cat ${from}`, gzip: `gzip -dc ${from}`, zstd: `zstd -qdc ${from}` }[method];
  const check = `sha256sum ${from}   # must print ${(layout === "archive" ? entry.plain : entry.stored).sha256}`;
  const loaded = describeServerEntry(kind, entry, read);
  if (loaded !== undefined) return [check, ...loaded];
  const target = quotePath(sourcePath);
  if (entry.form === "tree") {
    return [
      check,
      `mkdir -p ${target}`,
      `${read} | tar -xpf - -C ${target} --same-owner --numeric-owner --xattrs --xattrs-include='*' --acls --delay-directory-restore`,
    ];
  }
  const lines = [check, `mkdir -p "$(dirname ${target})"`];
  if (kind === "sqlite")
    lines.push(
      `rm -f ${["-wal", "-shm", "-journal"].map((ending) => `${target}${ending}`).join(" ")}   # what is left of these would change the restored database`,
    );
  // D10: tar and cp are enough where nothing has to be converted.
  lines.push(method === "none" ? `cp ${from} ${target}` : `${read} > ${target}`);
  if (kind === "sqlite") lines.push(`sqlite3 ${target} 'PRAGMA integrity_check'   # must print ok`);
  if (attributes !== undefined) {
    const { uid, gid, mode, mtimeNs } = attributes;
    lines.push(
      `chown ${uid}:${gid} ${target}`,
      `chmod ${mode.toString(8).padStart(4, "0")} ${target}`,
      `touch -d ${formatTouchTime(mtimeNs)} ${target}`,
    );
  }
  return lines;
}

/** `@SECONDS.NANOSECONDS`, as `touch` takes it. */
function formatTouchTime(mtimeNs: string): string {
  const ns = BigInt(mtimeNs);
  const fraction = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return `@${(ns - fraction) / 1_000_000_000n}.${String(fraction).padStart(9, "0")}`;
}

/** Paths that are no Unicode text are kept as base64. */
function quotePath(path: string): string {
  const prefix = "base64:";
  return path.startsWith(prefix) ? `"$(printf %s ${quote(path.slice(prefix.length))} | base64 -d)"` : quote(path);
}
