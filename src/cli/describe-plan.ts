import { describeBytes } from "../base/describe-amount.ts";
import { describeDifference } from "../base/describe-contents.ts";
import { describeNeed } from "../operations/forecast-restore.ts";
import { describePassedOver } from "../operations/passed-over.ts";
import { describeDuration } from "../base/parse-duration.ts";
import { describeParts } from "../operations/parts.ts";
import type { RestorePlan } from "../operations/plan-restore.ts";
import type { PlannedDatastore } from "../operations/planned-datastore.ts";
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
    ...list("expected", [describeExpected(plan.expected)]),
    ...describePassedOver(plan.passedOver).map((text) => `  ${colors.yellow("!")} ${text}`),
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
    ...list("space", describeSpace(plan.space, colors)),
    ...(isAllNew(plan)
      ? [line("before", "nothing is overwritten"), line("undo", "not needed: the result says how the new database is removed")]
      : [
          line("before", "what is there now is saved first; on any failure the data stays as it was"),
          line("undo", `\`holdfast undo\`, for ${describeDuration(undo.keepMs)} and the last ${undo.keepLast} restores`),
        ]),
    ...(plan.datastores.some(({ now }) => now?.present !== false) && plan.tables === null && plan.paths === null
      ? [`  ${colors.yellow("!")} ${describeStaleness(backup.createdAt)}`]
      : []),
  ];
}

/** The loss that every restore is made of. */
export function describeStaleness(createdAt: string): string {
  return `what was written since ${createdAt}, ${describeAgo(createdAt)}, is lost unless you undo`;
}

/** What is typed before it is overwritten: the datastore that is replaced, or the database that is made, where it is one; else the job. */
export function findConfirmedName({
  datastores,
  backup,
}: {
  readonly datastores: readonly Pick<PlannedDatastore, "datastore" | "to">[];
  readonly backup: Pick<RestorePlan["backup"], "job">;
}): string {
  const [only] = datastores;
  if (only === undefined || datastores.length > 1) return backup.job;
  return only.to?.replace(/^database:/, "") ?? only.datastore;
}

/** Where the figure comes from is said: it is no promise. */
function describeExpected(expected: RestorePlan["expected"]): string {
  if (expected === null) return "unknown: no drill and no restore of these datastores is on record";
  const took = describeTook(expected.ms);
  const about = expected.ms < 1000 ? took : `about ${took}`;
  return expected.basis === "restore"
    ? `${about}, as the restore of ${expected.backup} took ${describeAgo(expected.at)}`
    : `${about} and the saving of what is there now: the last drill, of ${expected.backup}, took ${took} (${describeAgo(expected.at)})`;
}

/** `1m 50s`, `less than 1s`. */
export function describeTook(ms: number): string {
  return ms < 1000 ? "less than 1s" : describeDuration(Math.round(ms / 1000) * 1000);
}

export function describeSpace(space: RestorePlan["space"], colors: Terminal["colors"]): readonly string[] {
  if (space === null) return ["unknown: the places cannot be looked at"];
  return space.map((need) => (need.fits === false ? colors.red(`NOT ENOUGH: ${describeNeed(need)}`) : describeNeed(need)));
}

const shownDifferences = 10;

/** What is there and what will be, as far as it is counted: names and texts. */
export function describeContentsLines({
  now,
  contents,
  differences,
}: Pick<PlannedDatastore, "now" | "contents" | "differences">): readonly (readonly [string, string])[] {
  const more = differences.length - shownDifferences;
  return [
    ...(now?.present !== true
      ? []
      : [
          ["holds", now.contents ?? "not counted"] as const,
          [
            "changed",
            now.newestChangeAt === null ? (now.changes ?? "unknown when") : `${now.newestChangeAt} (${describeAgo(now.newestChangeAt)})`,
          ] as const,
        ]),
    ...(contents === null ? [] : [["then", contents] as const]),
    ...differences.slice(0, shownDifferences).map((each) => ["", describeDifference(each)] as const),
    ...(more > 0 ? [["", `and ${more} more differences`] as const] : []),
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
    ...describeContentsLines(planned).map(([name, text]) => line(name, text)),
    ...(method === null ? [] : [line("how", method)]),
    ...(users.length === 0 ? [] : [line("open in", `process${users.length === 1 ? "" : "es"} ${users.join(", ")}`)]),
    ...notes.filter(({ level }) => level !== "info").map(({ message }) => `    ${colors.yellow("!")} ${message}`),
  ];
}
