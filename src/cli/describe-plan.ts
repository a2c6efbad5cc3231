import { describeBytes } from "../base/describe-amount.ts";
import { describeDuration } from "../base/parse-duration.ts";
import { describeParts } from "../operations/parts.ts";
import type { PlannedDatastore, RestorePlan } from "../operations/plan-restore.ts";
import { describeAgo } from "./describe-status.ts";
import type { Terminal } from "./terminal.ts";

/** What a restore would do, for people: what comes back, what it replaces, how, and how it can be undone. */
export function describePlan(plan: RestorePlan, terminal: Terminal): readonly string[] {
  const { colors } = terminal;
  const { backup, undo } = plan;
  const line = (name: string, text: string): string => `  ${name.padEnd(10)} ${text}`;
  const list = (name: string, texts: readonly string[]): readonly string[] => texts.map((text) => line(name, text));
  return [
    `${colors.bold(backup.name)} of job ${backup.job}, at ${backup.destination}`,
    line("made", `${backup.createdAt} (${describeAgo(backup.createdAt)}), ${describeBytes(backup.storedBytes)}`),
    ...list("note", backup.note === null ? [] : [backup.note]),
    line("verified", backup.verifiedAt === null ? "never; it is verified before anything is touched" : describeAgo(backup.verifiedAt)),
    line("drilled", describeDrill(backup)),
    ...plan.doubts.map((doubt) => `  ${colors.red("!")} it is ${doubt}`),
    ...plan.datastores.flatMap((datastore) => ["", ...describeDatastore(datastore, terminal)]),
    "",
    ...list("only", listParts(plan)),
    ...plan.losses.map((loss) => `  ${colors.yellow("!")} ${loss}`),
    ...list("untouched", plan.untouched.length === 0 ? [] : [plan.untouched.join(", ")]),
    ...list("stop", plan.stop),
    ...list("start", plan.start),
    ...list("check", plan.check),
    ...list("hooks", plan.hooksNote === null ? [] : [plan.hooksNote]),
    ...(isAllNew(plan)
      ? [line("before", "nothing is overwritten"), line("undo", "not needed: the result says how the new database is removed")]
      : [
          line("before", "what is there now is saved first; on any failure the data stays as it was"),
          line("undo", `\`holdfast undo\`, for ${describeDuration(undo.keepMs)} and the last ${undo.keepLast} restores`),
        ]),
  ];
}

const isAllNew = ({ datastores }: RestorePlan): boolean => datastores.every(({ to }) => to?.startsWith("database:") === true);
function listParts(plan: RestorePlan): readonly string[] {
  const parts = describeParts(plan);
  return parts === undefined ? [] : [`${parts}; everything else stays as it is`];
}

function describeDrill({ drilledAt, drillMs }: RestorePlan["backup"]): string {
  if (drilledAt === null) return "never";
  return `${describeAgo(drilledAt)}${drillMs === null ? "" : `; it took ${describeDuration(drillMs)}`}`;
}

function describeDatastore(planned: PlannedDatastore, { colors }: Terminal): readonly string[] {
  const { datastore, kind, to, plainBytes, places, now, method, users, notes, problem } = planned;
  const line = (name: string, text: string): string => `    ${name.padEnd(8)} ${text}`;
  return [
    `  ${colors.bold(datastore)} (${kind}), ${describeBytes(plainBytes)}`,
    ...(to === null ? [] : [line("into", colors.bold(to))]),
    ...places.map((place) => line("to", place)),
    ...(problem === null ? [] : [`    ${colors.red("!")} ${problem}`]),
    ...(now === null ? [] : [line("now", now.summary)]),
    ...(method === null ? [] : [line("how", method)]),
    ...(users.length === 0 ? [] : [line("open in", `process${users.length === 1 ? "" : "es"} ${users.join(", ")}`)]),
    ...notes.filter(({ level }) => level !== "info").map(({ message }) => `    ${colors.yellow("!")} ${message}`),
  ];
}
