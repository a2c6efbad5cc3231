import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import type { BackupReader } from "../../archive/backup-reader.ts";
import type { ManifestMember } from "../../archive/manifest.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import type { CatalogBackup } from "../../catalog/contract.ts";
import { printTable } from "../format-table.ts";
import type { Terminal } from "../terminal.ts";

/** The table of contents of a backup: each datastore and its entries. */
export function listMembers({ manifest }: BackupReader, backup: CatalogBackup, terminal: Terminal): void {
  if (terminal.json === "json") {
    terminal.printJson({
      backup: { id: backup.id, name: backup.name, job: backup.job, destination: backup.destination },
      members: manifest.members.map(describeMember),
    });
    return;
  }
  const size = (bytes: number): string => (terminal.reader === "person" ? describeBytes(bytes) : String(bytes));
  printTable(
    terminal,
    ["member", "kind", "entry", "form", "size"],
    manifest.members.flatMap(({ datastore, kind, status, entries }) =>
      entries.length === 0
        ? [[datastore, kind, status, "", ""]]
        : entries.map(({ name, form, plain }) => [datastore, kind, name, form, size(plain.bytes)]),
    ),
  );
}

/** What is in one member: its entries, and what lies in a tree. */
export async function listMember(reader: BackupReader, member: ManifestMember, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const { index } = member;
  if (terminal.json === "json") {
    const files: unknown[] = [];
    if (index !== null) for await (const line of readLines(reader, index, signal)) files.push(line);
    terminal.printJson({ ...describeMember(member), files: index === null ? null : files });
    return;
  }
  if (index === null) {
    for (const { name, form, plain } of member.entries) terminal.print([form, String(plain.bytes), name].join("\t"));
    return;
  }
  for await (const line of readLines(reader, index, signal)) {
    const { type, bytes, path, pathBase64, link } = line;
    const name = path ?? `base64:${pathBase64 ?? ""}`;
    if (name !== "")
      terminal.print([type, String(bytes ?? 0), escapeLine(name) + (link === undefined ? "" : ` -> ${escapeLine(link)}`)].join("\t"));
  }
}

function describeMember({ datastore, kind, status, entries }: ManifestMember) {
  return {
    datastore,
    kind,
    status,
    entries: entries.map(({ name, form, plain, stored, sourcePath }) => ({
      name,
      form,
      bytes: plain.bytes,
      storedBytes: stored.bytes,
      sha256: plain.sha256,
      sourcePath,
    })),
  };
}

interface IndexLine {
  readonly path?: string;
  readonly pathBase64?: string;
  readonly type: string;
  readonly bytes?: number;
  readonly link?: string;
}

async function* readLines(reader: BackupReader, index: string, signal: AbortSignal): AsyncGenerator<IndexLine, void, undefined> {
  const lines = createInterface({ input: Readable.from(reader.openText(reader.findText(index), signal)) });
  for await (const line of lines) if (line !== "") yield JSON.parse(line) as IndexLine;
}

/** A name may hold line breaks, and codes that a terminal obeys. */
function escapeLine(name: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is escaped
  return name.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) =>
    JSON.stringify(character)
      .slice(1, -1)
      .replace(/^[^\\].*$/, (same) => `\\u${(same.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`),
  );
}
