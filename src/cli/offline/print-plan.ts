import { describeAge, describeBytes } from "../../base/describe-amount.ts";
import type { Hook } from "../../config/config.ts";
import { describeCheck } from "../../operations/describe-hook.ts";
import { describeParts } from "../../operations/parts.ts";
import type { OfflinePlan, PlannedMember } from "../../operations/offline/plan-restore.ts";

/** The plan of a restore to the original places, one line each. */
export function describePlan(plan: OfflinePlan, saveTo: string, nowMs: number): readonly string[] {
  const { chosen, manifest } = plan;
  const parts = describeParts(plan);
  return [
    `Restore ${manifest.name} of job "${manifest.job}" (${describeAge(nowMs - chosen.backup.createdAtMs)} old, made on ${manifest.host})`,
    `  from ${chosen.path}`,
    ...plan.members.flatMap(describeMember),
    ...(parts === undefined ? [] : [`  only    ${parts}`]),
    ...plan.leftOut.map((datastore) => `  ${datastore}: not in this backup, and stays as it is now`),
    ...describeHooks("stop", plan.stop),
    ...describeHooks("start", plan.start),
    ...plan.check.map((check) => `  check   ${describeCheck(check)}`),
    plan.members.some(({ facts }) => facts?.present !== false)
      ? `  save    the present data to ${saveTo} first`
      : "  save    nothing: no data is there now",
  ];
}

function describeMember({ target, facts, problem }: PlannedMember): readonly string[] {
  const { member, configured, source } = target;
  const bytes = member.entries.reduce((sum, entry) => sum + entry.plain.bytes, 0);
  const where = `${configured.sourcePaths.join(", ")}, as the ${source === "config" ? "config" : "backup"} says`;
  const what = member.status === "absent" ? "was not there when it was backed up" : describeBytes(bytes);
  return [
    `  ${member.datastore} (${member.kind}): ${what} to ${where}`,
    facts === undefined
      ? `    cannot be looked at: ${problem ?? "unknown"}`
      : `    now: ${facts.summary}${facts.present ? `; ${facts.method}` : ""}`,
    ...(facts?.users.length ? [`    in use by pid ${facts.users.join(", ")}`] : []),
    ...(facts?.notes ?? []).map(({ message }) => `    note: ${message}`),
  ];
}

function describeHooks(word: string, hooks: readonly Hook[]): readonly string[] {
  return hooks.map(({ command }) => `  ${word.padEnd(8)}${command.join(" ")}`);
}
