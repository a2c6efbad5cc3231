import { type ConcurrencyKey, keysConflict } from "../base/concurrency-key.ts";
import type { Pause, Priority, Task } from "./contract.ts";

/** How far a clock may go back before a wait that it stretches is given up. */
const clockToleranceMs = 60_000;

const ranks: Readonly<Record<Priority, number>> = { interactive: 20, scheduled: 10, maintenance: 5 };

export type Candidate = Pick<Task, "id" | "sequence" | "priority" | "keys" | "job" | "notBeforeMs" | "notBeforeSetAtMs">;

export interface Situation<Waiting extends Candidate = Candidate, Active extends Pick<Task, "keys"> = Task> {
  readonly waiting: readonly Waiting[];
  /** Tasks that hold keys and slots. */
  readonly active: readonly Active[];
  readonly pauses: readonly Pick<Pause, "job">[];
  readonly nowMs: number;
  /** How many tasks may hold slots. */
  readonly concurrency: number;
}

/** Why a waiting task does not start now. */
export type Blocker<Waiting, Active> =
  | { readonly reason: "paused"; readonly job: string | undefined }
  | { readonly reason: "not-before"; readonly atMs: number }
  | { readonly reason: "held"; readonly by: Active; readonly key: ConcurrencyKey }
  | { readonly reason: "reserved"; readonly by: Waiting; readonly key: ConcurrencyKey }
  | { readonly reason: "slots" };

/**
 * The one rule of claiming. A task may start when a slot is free, it is neither paused nor told to wait, and none of its keys
 * conflicts with a key of a task that is active or of an eligible task ahead of it in line. The line is by priority, then by arrival.
 *
 * So every waiting task reserves all of its keys against all behind it, even those keys that are free: a task with many keys starts
 * as soon as those ahead of it have ended, however many small ones keep arriving. The price is that a free datastore may stand idle
 * meanwhile. Tasks that are paused or in back-off reserve nothing.
 */
export function chooseNext<Waiting extends Candidate, Active extends Pick<Task, "keys">>(
  situation: Situation<Waiting, Active>,
): Waiting | undefined {
  if (situation.active.length >= situation.concurrency) return undefined;
  const line = situation.waiting.filter((task) => findOwnReason(task, situation) === undefined).toSorted(compareInLine);
  return line.find(
    (task, place) => findHolder(task, situation.active) === undefined && findHolder(task, line.slice(0, place)) === undefined,
  );
}

/** What keeps this waiting task from starting; undefined when it is claimable. */
export function findBlocker<Waiting extends Candidate, Active extends Pick<Task, "keys">>(
  task: Waiting,
  situation: Situation<Waiting, Active>,
): Blocker<Waiting, Active> | undefined {
  const own = findOwnReason(task, situation);
  if (own !== undefined) return own;
  const held = findHolder(task, situation.active);
  if (held !== undefined) return { reason: "held", ...held };
  const ahead = situation.waiting.filter((other) => compareInLine(other, task) < 0 && findOwnReason(other, situation) === undefined);
  const reserved = findHolder(task, ahead.toSorted(compareInLine));
  if (reserved !== undefined) return { reason: "reserved", ...reserved };
  return situation.active.length >= situation.concurrency ? { reason: "slots" } : undefined;
}

/** The higher of two priorities. */
export function raisePriority(one: Priority, other: Priority): Priority {
  return ranks[other] > ranks[one] ? other : one;
}

function findOwnReason(task: Candidate, { pauses, nowMs }: Pick<Situation, "pauses" | "nowMs">) {
  const pause = pauses.find(({ job }) => job === undefined || job === task.job);
  if (pause !== undefined) return { reason: "paused", job: pause.job } as const;
  const clockWentBack = nowMs < task.notBeforeSetAtMs - clockToleranceMs;
  return nowMs < task.notBeforeMs && !clockWentBack ? ({ reason: "not-before", atMs: task.notBeforeMs } as const) : undefined;
}

function findHolder<Holder extends Pick<Task, "keys">>(
  task: Candidate,
  holders: readonly Holder[],
): { by: Holder; key: ConcurrencyKey } | undefined {
  for (const by of holders) {
    const key = task.keys.find((wanted) => by.keys.some((taken) => keysConflict(wanted, taken)));
    if (key !== undefined) return { by, key };
  }
  return undefined;
}

function compareInLine(one: Candidate, other: Candidate): number {
  return ranks[other.priority] - ranks[one.priority] || one.sequence - other.sequence;
}
