import { describeBytes } from "../../base/describe-amount.ts";
import type { Manifest } from "../../archive/manifest.ts";
import { openScratch } from "../../operations/offline/open-restore-work.ts";
import { chooseBackup, openView, type OfflineBackup } from "../../operations/offline/open-view.ts";
import { openAddressed, openDestination } from "../../operations/verify.ts";
import type { Terminal } from "../terminal.ts";
import type { VerbContext } from "../verb.ts";
import { describeState } from "../describe-backup.ts";
import { loadOfflineConfig } from "./offline-config.ts";
import type { OfflineShowOptions } from "./options.ts";

/** Prints what a backup's manifest says, or one of its texts. */
export async function showOffline(context: VerbContext, options: OfflineShowOptions): Promise<number> {
  const { terminal, signal } = context;
  const { settings } = await loadOfflineConfig(context);
  await using scratch = await openScratch(settings);
  const view = await openView({ ...options, host: settings.hostname, scratchDir: scratch.path }, signal);
  const chosen = await chooseBackup(view, options.backup, signal);
  await using destination = await openDestination(chosen.address.destination);
  const reader = await openAddressed(destination, chosen.address, signal);
  if (options.text !== undefined) {
    const text = await reader.readText(options.text, signal);
    if (terminal.json === "json") terminal.printJson({ text });
    else terminal.print(text.replace(/\n$/, ""));
    return 0;
  }
  if (terminal.json === "json") terminal.printJson({ backup: chosen.backup, manifest: reader.manifest, path: chosen.path });
  else printBackup(chosen, reader.manifest, terminal);
  return 0;
}

function printBackup({ backup, path }: OfflineBackup, manifest: Manifest, terminal: Terminal): void {
  const lines: readonly (readonly [string, string])[] = [
    ["backup", backup.name],
    ["id", backup.id],
    ["path", path],
    ["job", `${manifest.job} on ${manifest.host}`],
    ["made", `${manifest.createdAt} (${manifest.trigger})`],
    ["state", describeState(backup)],
    ["size", `${describeBytes(backup.storedBytes)} stored, ${describeBytes(backup.plainBytes)} of data`],
    ...(manifest.note === null ? [] : [["note", manifest.note] as const]),
  ];
  for (const [what, value] of lines) terminal.print(`${what.padEnd(8)}${value}`);
  for (const { datastore, kind, status, entries, notes } of manifest.members) {
    const from = [...new Set(entries.map(({ sourcePath }) => sourcePath))];
    const bytes = entries.reduce((sum, entry) => sum + entry.plain.bytes, 0);
    const more = from.length > 1 ? ` and ${from.length - 1} more` : "";
    const places = from[0] === undefined ? "" : ` from ${from[0]}${more}`;
    terminal.print(`  ${datastore} (${kind}): ${status === "ok" ? describeBytes(bytes) : status}${places}`);
    for (const { level, message } of notes) terminal.print(`    ${level}: ${message}`);
  }
  const texts = manifest.texts.map(({ name }) => name);
  if (texts.length > 0) terminal.print(`texts   ${texts.join(", ")} (--text NAME prints one)`);
}
