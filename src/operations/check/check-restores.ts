import { describeCause, HoldfastError } from "../../base/errors.ts";
import { findProgram } from "../../base/find-program.ts";
import { runProgram } from "../../base/subprocess.ts";
import type { Config, JobConfig, SqlCheck } from "../../config/config.ts";
import { describeCheck } from "../describe-hook.ts";
import { listQueried } from "../find-config.ts";
import { askDatastore, describeUnmet } from "../run-check.ts";
import { openStagingDirectory } from "../staging.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

const askTimeoutMs = 10_000;

/** What can be tried of the hooks of restores without running one: units are looked up, questions to datastores are asked. */
export async function checkRestores(config: Config, signal: AbortSignal): Promise<readonly Finding[]> {
  const jobs = [...config.jobs.values()];
  const findings: Finding[] = jobs.flatMap(checkStart);
  const queries = jobs.flatMap((job) => job.restore.check.flatMap((check) => (check.kind === "sql" ? [{ job, check }] : [])));
  if (queries.length > 0) {
    await using staging = await openStagingDirectory(config.settings.stagingDir, "check-restores");
    for (const { job, check } of queries) findings.push(await checkQuery(config, job, check, staging.path, signal));
  }
  for (const [unit, users] of listUnits(config)) findings.push(...(await checkUnitThere(unit, users, signal)));
  return findings;
}

function checkStart({ name, restore }: JobConfig): readonly Finding[] {
  if (restore.stop.length === 0 || restore.start.length > 0) return [];
  const unasked = restore.check.length === 0 ? "" : ", and its checks are not made";
  return [
    warn(
      `restore of ${name}`,
      `has a stop and no start: the application stays stopped after a restore${unasked}`,
      "Name what starts it in `restore.start`.",
    ),
  ];
}

/** It reads, so that it can be asked now. The data as it is need not be as it should be after a restore. */
async function checkQuery(config: Config, job: JobConfig, check: SqlCheck, stagingDir: string, signal: AbortSignal): Promise<Finding> {
  const what = `check of ${job.name}`;
  const text = describeCheck(check);
  try {
    const value = await askDatastore(check, { queried: listQueried(config, [check]), stagingDir }, signal);
    const expected = describeUnmet(check, value);
    const answer = value === null ? "nothing" : JSON.stringify(value);
    if (expected === undefined) return ok(what, `${text} gives ${answer}`);
    return warn(what, `${text} gives ${answer} now, not ${expected}`, "A restore after which it does so is rolled back.");
  } catch (error) {
    signal.throwIfAborted();
    const hint = error instanceof HoldfastError ? error.hint : undefined;
    return fail(what, `${text} cannot be asked: ${describeCause(error)}`, hint ?? "Every restore with this check would be rolled back.");
  }
}

/** Units that hooks stop, start or ask for, and in which jobs. */
function listUnits(config: Config): ReadonlyMap<string, readonly string[]> {
  const units = new Map<string, Set<string>>();
  for (const { name, restore, freeze, thaw } of config.jobs.values())
    for (const hook of [...restore.stop, ...restore.start, ...restore.check, ...freeze, ...thaw]) {
      if (!("command" in hook) || hook.command[0] !== "systemctl") continue;
      const unit = hook.command.at(-1) ?? "";
      if (["stop", "start", "freeze", "thaw", "is-active"].includes(hook.command[1] ?? ""))
        units.set(unit, (units.get(unit) ?? new Set()).add(name));
    }
  return new Map([...units].map(([unit, jobs]) => [unit, [...jobs]]));
}

/** Where no systemd answers nothing can be said. */
async function checkUnitThere(unit: string, jobs: readonly string[], signal: AbortSignal): Promise<readonly Finding[]> {
  if (findProgram("systemctl") === undefined) return [];
  const what = `unit ${unit}`;
  const args = ["show", "--property=LoadState", "--value", "--", unit];
  const shown = await runProgram("systemctl", args, { timeoutMs: askTimeoutMs }, signal).catch(() => undefined);
  signal.throwIfAborted();
  const state = shown?.stdout.trim() ?? "";
  if (state === "") return [];
  if (state === "loaded") return [ok(what, `is there (${jobs.join(", ")})`)];
  return [fail(what, `systemd does not have it (${state}; ${jobs.join(", ")})`, "Correct the unit's name: `systemctl list-units --all`.")];
}
