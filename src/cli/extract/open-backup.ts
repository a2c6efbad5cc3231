import { HoldfastError } from "../../base/errors.ts";
import type { ConcurrencyKey } from "../../base/concurrency-key.ts";
import { findBackup, findBackupKeys, type AddressedBackup } from "../../operations/extract/find-backup.ts";
import { createBackupKey } from "../../operations/find-config.ts";
import { chooseBackup, openView } from "../../operations/offline/open-view.ts";
import { loadOfflineConfig } from "../offline/offline-config.ts";
import type { VerbContext } from "../verb.ts";
import type { Settings } from "../../config/config.ts";

export interface GivenWords {
  readonly backup: string | undefined;
  readonly member: string | undefined;
  readonly path: string | undefined;
}

export interface ChosenBackup extends AddressedBackup {
  readonly keys: readonly ConcurrencyKey[];
  readonly member: string | undefined;
  readonly path: string | undefined;
}

interface Scope {
  readonly job?: string;
  readonly destination?: string;
  readonly offline?: string;
}

/** Finds the backup by the config, or offline by a path alone. A path that is one backup needs no name: then the member comes first. */
export async function chooseGiven(
  given: GivenWords,
  { job, destination, offline }: Scope,
  scratchDir: string,
  context: VerbContext,
): Promise<ChosenBackup> {
  const { terminal, signal } = context;
  const tell = (line: string): void => terminal.tell(line);
  if (offline === undefined) {
    const config = await context.loadConfig();
    const question = {
      text: given.backup ?? "latest",
      scratchDir,
      ...(job === undefined ? {} : { job }),
      ...(destination === undefined ? {} : { destination }),
    };
    const found = await findBackup(config, question, tell, signal);
    return { ...found, keys: [createBackupKey(found.backup.destination, found.backup.id)], member: given.member, path: given.path };
  }
  if (destination !== undefined)
    throw new HoldfastError("usage", "--destination is a name of the config, and --offline needs none", { hint: "Say one of them." });
  const { config, settings } = await loadOfflineConfig(context);
  const view = await openView({ path: offline, host: settings.hostname, scratchDir, ...(job === undefined ? {} : { job }) }, signal);
  const [only] = view.found;
  const isOne = view.place.kind === "backup" || view.found.length === 1;
  const isNamed = given.backup === "latest" || given.backup === only?.backup.name || given.backup === only?.backup.id;
  const words = isOne && !isNamed ? shiftWords(given) : given;
  const chosen = await chooseBackup(view, words.backup, signal);
  return { ...chosen, keys: await findBackupKeys(config, chosen), member: words.member, path: words.path };
}

function shiftWords({ backup, member, path }: GivenWords): GivenWords {
  if (path === undefined) return { backup: undefined, member: backup, path: member };
  throw new HoldfastError("usage", `--offline names one backup, and it is not "${backup ?? ""}"`, {
    hint: "Say only the member and the path in it.",
  });
}

export async function loadExtractSettings(context: VerbContext): Promise<Settings> {
  return (await loadOfflineConfig(context)).settings;
}
