import { describeAge, describeBytes } from "../base/describe-amount.ts";
import { HoldfastError } from "../base/errors.ts";
import type { CatalogBackup } from "../catalog/contract.ts";
import type { ControlClient } from "../control/client.ts";
import { listDoubts } from "../operations/list-doubts.ts";
import type { RestorePlan } from "../operations/plan-restore.ts";
import type { JobStatus, Status } from "../operations/read-status.ts";
import { askChoice, askSome, type Choice } from "./ask.ts";
import { listStates } from "./describe-backup.ts";
import { createBackupPath, pickScope, type ScopeOptions } from "./pick-scope.ts";
import { fitLine } from "./terminal.ts";
import type { VerbContext } from "./verb.ts";

export interface ChosenBackup {
  readonly text: string;
  readonly scope: ScopeOptions;
  /** Some of its datastores; absent for all. */
  readonly only?: readonly string[];
}

/** P5: pick a job, where there are several, a backup of it, and its datastores, where it has several. Nobody to ask is a usage error. */
export async function chooseRestore(
  client: ControlClient,
  options: ScopeOptions & { readonly only?: readonly string[] },
  context: VerbContext,
): Promise<ChosenBackup> {
  const { terminal, signal } = context;
  if (terminal.canAsk === "no") {
    throw new HoldfastError("usage", "Which backup is to be restored?", {
      hint: "`holdfast restore latest` takes the newest good one; `holdfast list` shows all.",
    });
  }
  const query = new URLSearchParams({ limit: "1000", class: "backup", ...pickScope(options) });
  const backups = await client.send<readonly CatalogBackup[]>({ method: "GET", path: `/backups?${query.toString()}` }, signal);
  const there = backups.filter(({ missingSinceMs }) => missingSinceMs === null);
  if (there.length === 0) throw createNothingError();
  const status = await client.send<Status>({ method: "GET", path: "/status" }, signal);
  const job = await chooseJob(there, status.jobs, signal);
  const backup = await chooseBackup(
    there.filter((each) => each.job === job),
    status.host,
    signal,
  );
  const scope = { destination: backup.destination };
  const only = options.only ?? (await chooseDatastores(client, backup, scope, context));
  return { text: backup.id, scope, ...(only === undefined ? {} : { only }) };
}

function createNothingError(): HoldfastError {
  return new HoldfastError("backup-not-found", "There is no backup to restore", { hint: "`holdfast status` tells why." });
}

async function chooseJob(backups: readonly CatalogBackup[], jobs: readonly JobStatus[], signal: AbortSignal): Promise<string> {
  const names = [...new Set(backups.map(({ job }) => job))];
  const [only = ""] = names;
  if (names.length === 1) return only;
  const choices = names.toSorted().map((job) => {
    const [newest] = backups.filter((backup) => backup.job === job);
    const state = jobs.find((each) => each.job === job)?.state;
    const last = newest === undefined ? "" : `last backup ${describeAge(Date.now() - newest.createdAtMs)} ago`;
    const gone = state === undefined ? { disabled: "(no longer in the config)" } : {};
    return { name: fitLine(`${job}  ${last}  ${state === "never" || state === undefined ? "" : state}`.trim()), value: job, ...gone };
  });
  return await askChoice<string>("Which job?", choices, undefined, signal);
}

/** The newest good one is marked at first. @param host whose backups are this machine's own */
export async function chooseBackup(backups: readonly CatalogBackup[], host: string, signal: AbortSignal): Promise<CatalogBackup> {
  const choices = backups.map((backup) => ({
    name: fitLine(
      `${backup.name}  ${describeAge(Date.now() - backup.createdAtMs)} old  ${describeBytes(backup.storedBytes)}  ${describeWorth(backup, host)}`,
    ),
    value: backup,
    short: backup.name,
    // The marks again: a narrow terminal has cut them off.
    description: `${describeWorth(backup, host)}; job ${backup.job}, at ${backup.destination}`,
  }));
  const good = backups.filter((backup) => listDoubts(backup).length === 0);
  const preset = good.find((backup) => backup.host === undefined || backup.host === host) ?? good[0];
  return await askChoice<CatalogBackup>("Which backup?", choices, preset, signal);
}

function describeWorth(backup: CatalogBackup, host: string): string {
  const foreign = backup.host !== undefined && backup.host !== host ? [`made on ${backup.host}`] : [];
  return [...listStates(backup), ...foreign, ...(backup.note === null ? [] : [`"${backup.note}"`])].join(", ");
}

/** Undefined for all of them. One that cannot come back is shown with the reason. */
async function chooseDatastores(
  client: ControlClient,
  backup: CatalogBackup,
  scope: ScopeOptions,
  { terminal, signal }: VerbContext,
): Promise<readonly string[] | undefined> {
  if (backup.members.length < 2) return undefined;
  terminal.status("looking at what is there now");
  const hindrances = await findHindrances(client, backup, scope, signal);
  const choices: Choice<string>[] = [];
  for (const { datastore, kind, status, plainBytes } of backup.members) {
    const reason = status === "failed" ? "left out of this backup" : hindrances.get(datastore);
    const what = status === "absent" ? "was not there" : describeBytes(plainBytes);
    choices.push({
      name: fitLine(`${datastore} (${kind}, ${what})`),
      value: datastore,
      ...(reason === undefined ? { checked: true } : { disabled: `(${reason})` }),
    });
  }
  terminal.clearStatus();
  const able = choices.filter(({ disabled }) => disabled === undefined);
  if (able.length === 0) {
    throw new HoldfastError(
      "target-unsafe",
      `Of ${backup.name} nothing can be restored now: ${choices.map(({ value, disabled }) => `${value} ${disabled}`).join("; ")}`,
    );
  }
  const chosen = await askSome("Which datastores?", choices, signal);
  return chosen.length === backup.members.length ? undefined : chosen;
}

/** Why a datastore cannot be restored now, by its name. */
async function findHindrances(
  client: ControlClient,
  { id, members }: CatalogBackup,
  scope: ScopeOptions,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const look = async (names: readonly string[]): Promise<readonly (readonly [string, string])[]> => {
    const query = { ...scope, datastores: names.join(",") };
    const plan = await client.send<RestorePlan>({ method: "GET", path: createBackupPath(id, "/restore-plan", query) }, signal);
    return plan.datastores.flatMap(({ datastore, problem }) => (problem === null ? [] : [[datastore, problem] as const]));
  };
  const names = members.flatMap(({ datastore, status }) => (status === "failed" ? [] : [datastore]));
  if (names.length === 0) return new Map();
  try {
    return new Map(await look(names));
  } catch (error) {
    if (!isAboutOne(error)) throw error;
  }
  // One of them has left the config, which refuses all: each is asked for alone.
  const found: (readonly [string, string])[] = [];
  for (const name of names) {
    try {
      found.push(...(await look([name])));
    } catch (error) {
      if (!isAboutOne(error)) throw error;
      found.push([name, error.message]);
    }
  }
  return new Map(found);
}

const isAboutOne = (error: unknown): error is HoldfastError => error instanceof HoldfastError && error.code === "unknown-name";
