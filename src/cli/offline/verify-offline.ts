import { errorPolicies, HoldfastError } from "../../base/errors.ts";
import { openScratch } from "../../operations/offline/open-restore-work.ts";
import { chooseBackup, openView, type OfflineBackup, type OfflineView } from "../../operations/offline/open-view.ts";
import { runVerify } from "../../operations/verify.ts";
import { printProof, type Proof } from "../print-proof.ts";
import type { VerbContext } from "../verb.ts";
import { loadOfflineConfig } from "./offline-config.ts";
import type { OfflineVerifyOptions } from "./options.ts";
import { createRunPorts } from "./run-ports.ts";

/** Reads backups to their end, with every hash. Exit status 0 when all are good, else the one of the worst error. */
export async function verifyOffline(context: VerbContext, options: OfflineVerifyOptions): Promise<number> {
  const { terminal, signal } = context;
  const { settings } = await loadOfflineConfig(context);
  await using scratch = await openScratch(settings);
  const view = await openView({ ...options, host: settings.hostname, scratchDir: scratch.path }, signal);
  const results: Proof[] = [];
  let exit = 0;
  const add = (result: Proof): void => {
    results.push(result);
    if (terminal.json === "text") printProof(result, terminal);
  };
  for (const chosen of await chooseAll(view, options, signal)) {
    const { name } = chosen.backup;
    const destination = chosen.address.destination.name;
    try {
      const setup = { address: chosen.address, host: settings.hostname, stagingDir: scratch.path, version: context.program.version };
      const { members } = await runVerify(setup, createRunPorts(terminal), signal);
      const what = members.map(({ datastore }) => datastore).join(", ");
      add({ backup: name, destination, outcome: "ok", summary: `${name} is whole: ${what}`, hint: null });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof HoldfastError)) throw error;
      exit = Math.max(exit, errorPolicies[error.code].exit);
      add({ backup: name, destination, outcome: "failed", summary: `${name}: ${error.message}`, hint: error.hint ?? null });
    }
  }
  if (options.all === true) {
    for (const { key, reason } of view.unreadable)
      add({ backup: key, destination: null, outcome: "failed", summary: `${key}: ${reason}`, hint: null });
    if (view.unreadable.length > 0) exit = Math.max(exit, errorPolicies["manifest-invalid"].exit);
  }
  if (terminal.json === "json") terminal.printJson(results);
  return exit;
}

async function chooseAll(view: OfflineView, options: OfflineVerifyOptions, signal: AbortSignal): Promise<readonly OfflineBackup[]> {
  if (options.all === true && view.found.length + view.unreadable.length > 0) return view.found;
  return [await chooseBackup(view, options.backup, signal)];
}
