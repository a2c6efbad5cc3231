import { errorPolicies, HoldfastError } from "../../base/errors.ts";
import { openScratch } from "../../operations/offline/open-restore-work.ts";
import { chooseBackup, openView, type OfflineBackup, type OfflineView } from "../../operations/offline/open-view.ts";
import { runVerify } from "../../operations/verify.ts";
import type { VerbContext } from "../verb.ts";
import { loadOfflineConfig } from "./offline-config.ts";
import type { OfflineVerifyOptions } from "./options.ts";
import { createRunPorts } from "./run-ports.ts";

interface Verified {
  readonly backup: string;
  readonly destination: string | null;
  readonly outcome: "ok" | "failed";
  readonly summary: string;
}

/** Reads backups to their end, with every hash. Exit status 0 when all are good, else the one of the worst error. */
export async function verifyOffline(context: VerbContext, options: OfflineVerifyOptions): Promise<number> {
  const { terminal, signal } = context;
  const { settings } = await loadOfflineConfig(context);
  await using scratch = await openScratch(settings);
  const view = await openView({ ...options, host: settings.hostname, scratchDir: scratch.path }, signal);
  const results: Verified[] = [];
  let exit = 0;
  const add = (result: Verified): void => {
    results.push(result);
    if (terminal.json === "json") return;
    terminal.print(`${result.outcome === "ok" ? terminal.colors.green("ok") : terminal.colors.red("failed")}  ${result.summary}`);
  };
  for (const chosen of await chooseAll(view, options, signal)) {
    const { name } = chosen.backup;
    try {
      const setup = { address: chosen.address, host: settings.hostname, stagingDir: scratch.path, version: context.program.version };
      const { members } = await runVerify(setup, createRunPorts(terminal), signal);
      const what = members.map(({ datastore }) => datastore).join(", ");
      add({ backup: name, destination: chosen.address.destination.name, outcome: "ok", summary: `${name} is whole: ${what}` });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof HoldfastError)) throw error;
      exit = Math.max(exit, errorPolicies[error.code].exit);
      add({ backup: name, destination: chosen.address.destination.name, outcome: "failed", summary: `${name}: ${error.message}` });
    }
  }
  if (options.all === true) {
    for (const { key, reason } of view.unreadable) add({ backup: key, destination: null, outcome: "failed", summary: `${key}: ${reason}` });
    if (view.unreadable.length > 0) exit = Math.max(exit, errorPolicies["manifest-invalid"].exit);
  }
  if (terminal.json === "json") terminal.printJson(results);
  return exit;
}

async function chooseAll(view: OfflineView, options: OfflineVerifyOptions, signal: AbortSignal): Promise<readonly OfflineBackup[]> {
  if (options.all === true && view.found.length + view.unreadable.length > 0) return view.found;
  return [await chooseBackup(view, options.backup, signal)];
}
