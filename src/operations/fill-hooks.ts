import { isDeepStrictEqual } from "node:util";
import { secretMask } from "../base/secret.ts";
import type { Config, Hook } from "../config/config.ts";
import type { RestoreRecord } from "./restore-journal.ts";

/** The hooks of a job as the config has them now; none where it does not know it. */
export type FindHooks = (job: string) => readonly Hook[];

/** Those of the services of all datastores too: which of them a restore stops, its target decides. */
export function listRestoreHooks(config: Pick<Config, "jobs" | "datastores">, job: string): readonly Hook[] {
  const restore = config.jobs.get(job)?.restore;
  return [...(restore === undefined ? [] : [...restore.stop, ...restore.start]), ...listServiceHooks(config)];
}

/** What makes the servers of datastores, and the applications of groups, stand still, and lets them go on. */
export function listHoldHooks({ datastores, jobs }: Pick<Config, "datastores" | "jobs">): readonly Hook[] {
  return [...listServiceHooks({ datastores }), ...[...jobs.values()].flatMap(({ freeze, thaw }) => [...freeze, ...thaw])];
}

function listServiceHooks({ datastores }: Pick<Config, "datastores">): readonly Hook[] {
  const services = [...datastores.values()].flatMap(({ service }) => service ?? []);
  return services.flatMap(({ stop, start, pause, resume, ask }) => [
    ...stop,
    ...start,
    ...pause,
    ...resume,
    ...(ask === undefined ? [] : [ask]),
  ]);
}

type Warn = (message: string) => void;

/** The records of a journal with the variables of its hooks, whose values it does not hold: those that the config has for the same command. */
export function fillHooks(records: readonly RestoreRecord[], findHooks: FindHooks, warn: Warn): readonly RestoreRecord[] {
  return records.map((record) => {
    if (record.type !== "begin") return record;
    const known = findHooks(record.job);
    const fill = (hook: Hook): (typeof record)["start"][number] => ({
      ...hook,
      command: [...hook.command],
      ...fillVariables(hook, known, warn),
    });
    return { ...record, start: record.start.map(fill), stop: record.stop.map(fill) };
  });
}

/** A hook from a record, with the values of its variables as they are known now. */
export function fillHook<Filled extends Hook>(hook: Filled, known: readonly Hook[], warn: Warn): Filled {
  return { ...hook, ...fillVariables(hook, known, warn) };
}

function fillVariables({ command, runAs, env }: Hook, known: readonly Hook[], warn: Warn): Pick<Hook, "env"> {
  if (env === undefined) return {};
  const same = known.find((each) => isDeepStrictEqual(each.command, command) && each.runAs === runAs);
  const filled = Object.entries(env).map(([name, value]) => [name, value === secretMask ? same?.env?.[name] : value] as const);
  const lost = filled.filter(([, value]) => value === undefined).map(([name]) => name);
  if (lost.length > 0) warn(`The command \`${command.join(" ")}\` runs without ${lost.join(", ")}: the config has no value of it any more`);
  return { env: Object.fromEntries(filled.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))) };
}
