import { isDeepStrictEqual } from "node:util";
import { secretMask } from "../base/secret.ts";
import type { Config, Hook } from "../config/config.ts";
import type { RestoreRecord } from "./restore-journal.ts";

/** The hooks of a job as the config has them now; none where it does not know it. */
export type FindHooks = (job: string) => readonly Hook[];

export function listRestoreHooks({ jobs }: Pick<Config, "jobs">, job: string): readonly Hook[] {
  const restore = jobs.get(job)?.restore;
  return restore === undefined ? [] : [...restore.stop, ...restore.start];
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

function fillVariables({ command, runAs, env }: Hook, known: readonly Hook[], warn: Warn): Pick<Hook, "env"> {
  if (env === undefined) return {};
  const same = known.find((each) => isDeepStrictEqual(each.command, command) && each.runAs === runAs);
  const filled = Object.entries(env).map(([name, value]) => [name, value === secretMask ? same?.env?.[name] : value] as const);
  const lost = filled.filter(([, value]) => value === undefined).map(([name]) => name);
  if (lost.length > 0) warn(`The command \`${command.join(" ")}\` runs without ${lost.join(", ")}: the config has no value of it any more`);
  return { env: Object.fromEntries(filled.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))) };
}
