import { HoldfastError } from "../../base/errors.ts";
import { openScratch } from "../../operations/offline/open-restore-work.ts";
import { openView } from "../../operations/offline/open-view.ts";
import type { VerbContext } from "../verb.ts";
import { printBackups } from "../describe-backup.ts";
import { loadOfflineConfig } from "./offline-config.ts";
import type { OfflineListOptions } from "./options.ts";

/** Lists what lies at a path. Exit status 6 when a manifest there cannot be read. */
export async function listOffline(context: VerbContext, options: OfflineListOptions): Promise<number> {
  const { terminal, signal } = context;
  const { settings } = await loadOfflineConfig(context);
  await using scratch = await openScratch(settings);
  const { found, unreadable } = await openView({ ...options, host: settings.hostname, scratchDir: scratch.path }, signal);
  const limit = parseLimit(options.limit);
  const wanted = options.preRestore === true ? "pre-restore" : "backup";
  const backups = found.map(({ backup }) => backup).filter((backup) => found.length === 1 || backup.class === wanted);
  if (terminal.json === "json") terminal.printJson(backups.slice(0, limit));
  else printBackups(backups.slice(0, limit), terminal);
  if (backups.length === 0 && found.length > 0)
    terminal.tell(
      wanted === "backup"
        ? `What is here was made before restores (${found.length}): --pre-restore lists it.`
        : `Nothing here was made before a restore: without --pre-restore what is here is listed (${found.length}).`,
    );
  for (const { key, reason } of unreadable) terminal.tell(`damaged: ${key}: ${reason}`);
  return unreadable.length === 0 ? 0 : 6;
}

function parseLimit(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new HoldfastError("usage", `--limit must be a whole number from 1, not "${text}"`);
}
