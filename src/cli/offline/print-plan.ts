import { describeAge, describeBytes } from "../../base/describe-amount.ts";
import { compareCounts, describeCounts } from "../../base/describe-contents.ts";
import type { Hook } from "../../config/config.ts";
import { describeCheck } from "../../operations/describe-hook.ts";
import { describeParts } from "../../operations/parts.ts";
import type { OfflinePlan, PlannedMember } from "../../operations/offline/plan-restore.ts";
import { describePassedOver } from "../../operations/passed-over.ts";
import { describeNow, listLosses, listVanishing } from "../../operations/describe-target.ts";
import type { PlannedDatastore } from "../../operations/planned-datastore.ts";
import { describeContentsLines, describeSpace, describeStaleness } from "../describe-plan.ts";
import type { Terminal } from "../terminal.ts";

/** The plan of a restore to the original places, one line each. */
export function describePlan(plan: OfflinePlan, saveTo: string, nowMs: number, terminal: Terminal): readonly string[] {
  const { chosen, manifest } = plan;
  const { colors } = terminal;
  const parts = describeParts(plan);
  const isThere = plan.members.some(({ facts }) => facts?.present !== false);
  return [
    `Restore ${manifest.name} of job "${manifest.job}" (${describeAge(nowMs - chosen.backup.createdAtMs)} old, made on ${manifest.host})`,
    `  from ${chosen.path}`,
    ...describeProof(plan),
    ...describePassedOver(plan.passedOver).map((line) => `  ${colors.yellow("!")} ${line}`),
    ...plan.doubts.map((doubt) => `  ${colors.red("!")} it is ${doubt}`),
    ...plan.members.flatMap((member) => describeMember(member)),
    ...(parts === undefined ? [] : [`  only    ${parts}`]),
    ...plan.leftOut.map((datastore) => `  ${datastore}: not in this backup, and stays as it is now`),
    ...listPlanLosses(plan.members).map((loss) => `  ${colors.yellow("!")} ${loss}`),
    ...describeHooks("stop", [...plan.stop, ...plan.services.stop]),
    ...describeHooks("start", [...plan.services.start, ...plan.start]),
    ...plan.check.map((check) => `  check   ${describeCheck(check)}`),
    isThere ? `  save    the present data to ${saveTo} first` : "  save    nothing: no data is there now",
    ...describeSpace(plan.space, colors).map((line) => `  space   ${line}`),
    ...(isThere ? [`  ${colors.yellow("!")} ${describeStaleness(manifest.createdAt)}`] : []),
  ];
}

function describeProof({ chosen: { backup } }: OfflinePlan): readonly string[] {
  const at = (ms: number | null): string => (ms === null ? "never" : `${describeAge(Date.now() - ms)} ago`);
  return [`  verified ${at(backup.verifiedAtMs)}, drilled ${at(backup.drilledAtMs)}`];
}

/** What is there and what will be, as the plan of an online restore has it. */
export function describeSides({
  target: { member },
  facts,
  counts,
}: PlannedMember): Pick<PlannedDatastore, "now" | "contents" | "differences"> {
  const isAbsent = member.status === "absent";
  return {
    now: facts === undefined ? null : describeNow(facts, counts),
    contents: isAbsent ? null : (describeCounts(member.contents.counts) ?? null),
    differences: counts === null || isAbsent ? [] : compareCounts(counts, member.contents.counts),
  };
}

/** What will not come back as it was. */
export function listPlanLosses(members: readonly PlannedMember[]): readonly string[] {
  return members.flatMap((planned) => [
    ...listLosses(planned.target.member),
    ...listVanishing(planned.target.member, describeSides(planned).differences),
  ]);
}

function describeMember(planned: PlannedMember): readonly string[] {
  const { target, facts, problem, notes } = planned;
  const { member, configured, source } = target;
  const bytes = member.entries.reduce((sum, entry) => sum + entry.plain.bytes, 0);
  const where = `${configured.sourcePaths.join(", ")}, as the ${source === "config" ? "config" : "backup"} says`;
  const what = member.status === "absent" ? "was not there when it was backed up" : describeBytes(bytes);
  return [
    `  ${member.datastore} (${member.kind}): ${what} to ${where}`,
    facts === undefined
      ? `    cannot be looked at: ${problem ?? "unknown"}`
      : `    now: ${facts.summary}${facts.present ? `; ${facts.method}` : ""}`,
    ...describeContentsLines(describeSides(planned)).map(([name, text]) => `    ${name}: ${text}`),
    ...(facts?.users.length ? [`    in use by pid ${facts.users.join(", ")}`] : []),
    ...[...(facts?.notes ?? []), ...notes].map(({ message }) => `    note: ${message}`),
  ];
}

function describeHooks(word: string, hooks: readonly Hook[]): readonly string[] {
  return hooks.map(({ command }) => `  ${word.padEnd(8)}${command.join(" ")}`);
}
