import { join, resolve } from "node:path";
import type { Manifest } from "../archive/manifest.ts";
import { describeCause, HoldfastError, readErrno } from "../base/errors.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { Settings } from "../config/config.ts";
import type { ControlClient } from "../control/client.ts";
import { assertApart, assertEmpty } from "../operations/assert-target-directory.ts";
import { chooseMembers } from "../operations/choose-members.ts";
import { createBackupKey, describeDestination } from "../operations/find-config.ts";
import { createDoubtError, listDoubts } from "../operations/list-doubts.ts";
import { openScratch } from "../operations/offline/open-restore-work.ts";
import { pickConfigured } from "../operations/pick-configured.ts";
import { restoreInto } from "../operations/restore-into.ts";
import { acquireLocks, type HeldLocks } from "../queue/locks.ts";
import { confirmOrFail } from "./ask.ts";
import { createRunPorts } from "./offline/run-ports.ts";
import { createBackupPath, type ScopeOptions } from "./pick-scope.ts";
import type { Terminal } from "./terminal.ts";
import type { VerbContext } from "./verb.ts";

export interface ToDirectoryOptions {
  readonly scope: ScopeOptions;
  readonly only?: readonly string[];
  readonly table?: readonly string[];
  readonly path?: readonly string[];
  readonly plan?: boolean;
  readonly yes?: boolean;
  readonly acceptDoubtful?: boolean;
}

/**
 * Restores below a directory of the caller's choosing. This process does it, with the caller's own rights: the daemon writes to places of
 * the config alone. Nothing is stopped, and nothing that is there is touched.
 */
export async function restoreToDirectory(
  client: ControlClient,
  text: string,
  path: string,
  options: ToDirectoryOptions,
  context: VerbContext,
): Promise<number> {
  const { terminal, signal } = context;
  if (options.table !== undefined || options.path !== undefined) {
    throw new HoldfastError("usage", "--to /DIRECTORY restores whole datastores, not tables or paths", {
      hint: "Leave --to out; or take single files out of the backup with `holdfast extract`.",
    });
  }
  const directory = resolve(path);
  const { backup, manifest } = await client.send<Found>({ method: "GET", path: createBackupPath(text, "", { ...options.scope }) }, signal);
  const config = await context.loadConfig();
  const { settings } = config;
  const place = describeDestination(config, backup.destination);
  const datastores = chooseMembers(manifest, options.only).map(({ datastore }) => datastore);
  const doubts = listDoubts(backup);
  await assertEmpty(directory);
  await assertApart(directory, config, { settings, backupDir: undefined });
  if (options.plan === true) return tellPlan({ backup, manifest }, datastores, directory, terminal);
  if (doubts.length > 0 && options.acceptDoubtful !== true) {
    throw createDoubtError(backup.name, doubts);
  }
  if (terminal.json === "text") for (const line of describeIntent({ backup, manifest }, datastores, directory)) terminal.tell(line);
  await confirmOrFail(terminal, { message: `Restore into ${directory}?`, yes: options.yes === true }, signal);
  using _lock = await lockBackup(backup, settings, terminal, signal);
  await using scratch = await openScratch(settings);
  const address = { destination: place, folder: backup.folder, key: backup.manifestKey, lone: false };
  const { paths, notes } = await restoreInto(
    { address, datastores, directory, stagingDir: scratch.path, configured: pickConfigured(config, manifest.members) },
    createRunPorts(terminal),
    signal,
  );
  terminal.clearStatus();
  if (terminal.json === "json") terminal.printJson({ backup: backup.name, directory, restored: paths, notes });
  else {
    for (const each of paths) terminal.print(`restored and compared: ${each}`);
    for (const note of notes) terminal.print(`note: ${note}`);
    terminal.print(describeNext(manifest, datastores));
  }
  return 0;
}

interface Found {
  readonly backup: CatalogBackup;
  readonly manifest: Manifest;
}

/** Its removal waits. Who may not take the lock reads without it: a backup that goes away meanwhile fails the restore, which leaves nothing. */
async function lockBackup(backup: CatalogBackup, settings: Settings, terminal: Terminal, signal: AbortSignal): Promise<HeldLocks> {
  const keys = [createBackupKey(backup.destination, backup.id)];
  try {
    return await acquireLocks({ directory: join(settings.runtimeDir, "locks"), keys, holder: `restore --to of ${backup.name}` }, signal);
  } catch (error) {
    if (!["EACCES", "EPERM", "EROFS"].includes(readErrno(error) ?? "")) throw error;
    terminal.tell(`warning: without the lock of the backup, which retention could remove meanwhile: ${describeCause(error)}`);
    return { fds: [], [Symbol.dispose]: () => undefined };
  }
}

function tellPlan(found: Found, datastores: readonly string[], directory: string, terminal: Terminal): number {
  const { backup } = found;
  if (terminal.json === "json") terminal.printJson({ backup: backup.name, doubts: listDoubts(backup), directory, datastores });
  else for (const line of describeIntent(found, datastores, directory)) terminal.print(line);
  return 0;
}

function describeIntent({ backup }: Found, datastores: readonly string[], directory: string): readonly string[] {
  return [
    `${backup.name} of job ${backup.job}, at ${backup.destination}`,
    ...listDoubts(backup).map((doubt) => `  ! it is ${doubt}`),
    ...datastores.map((datastore) => `  ${datastore.padEnd(10)} to ${join(directory, datastore)}`),
    "  Nothing is stopped, and what is there now stays as it is. Device nodes are not made, set-uid and set-gid bits are dropped.",
  ];
}

function describeNext({ members }: Manifest, datastores: readonly string[]): string {
  const isServer = members.some(({ datastore, kind }) => datastores.includes(datastore) && (kind === "postgresql" || kind === "redis"));
  return isServer
    ? "These are files. `holdfast show BACKUP --text RESTORE.txt` has the commands that load them; `--to scratch` makes a database to look into."
    : "Copy from there what is needed; remove the directory when it is not needed any more.";
}
