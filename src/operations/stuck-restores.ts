import { formatInstant } from "../base/clock.ts";
import { HoldfastError } from "../base/errors.ts";
import type { Core } from "./core.ts";

const firstRetryMs = 60_000;
const longestRetryMs = 10 * 60_000;

interface Stuck {
  readonly id: string;
  readonly job: string;
  readonly message: string;
  readonly hint?: string;
}

/**
 * Remembers a restore that could be neither finished nor rolled back, until it is. It is tried again with longer and longer pauses.
 * @param told whether somebody has been told of it in another way
 */
export function noteStuck(core: Core, { id, job, message, hint }: Stuck, told: "told" | "untold"): void {
  const known = core.stuckRestores.get(id);
  const failures = (known?.failures ?? 0) + 1;
  const pauseMs = Math.min(firstRetryMs * 2 ** (failures - 1), longestRetryMs);
  core.stuckRestores.set(id, {
    message,
    sinceMs: known?.sinceMs ?? core.clock.now(),
    failures,
    dueAtMs: core.clock.monotonic() + pauseMs,
    nextAtMs: core.clock.now() + pauseMs,
    ...(hint === undefined ? {} : { hint }),
  });
  const { alarms } = core.catalog;
  const key = keyOf(id);
  if (alarms.get(key) !== undefined) return;
  alarms.set(key, { sinceMs: core.clock.now(), lastToldMs: core.clock.now(), detail: message });
  if (told === "untold")
    tell(core, job, "failure", `The restore ${id} is not finished`, hint === undefined ? message : `${message}\n${hint}`);
}

/** It has come to its end; an application that does not run then is no good news. */
export function clearStuck(
  core: Core,
  { id, job, message }: Pick<Stuck, "id" | "job" | "message">,
  application: "well" | "unwell" = "well",
): void {
  core.stuckRestores.delete(id);
  if (core.catalog.alarms.clear(keyOf(id)) === undefined) return;
  tell(core, job, application === "well" ? "recovery" : "failure", `The restore ${id} is finished`, message);
}

/** The remedy of an error that left a restore stuck. */
export function hintOf(error: unknown): { readonly hint?: string } {
  return error instanceof HoldfastError && error.hint !== undefined ? { hint: error.hint } : {};
}

const keyOf = (id: string): string => `restore-stuck:${id}`;

function tell(core: Core, jobName: string, kind: "failure" | "recovery", title: string, text: string): void {
  const channels = core.config.jobs.get(jobName)?.notify ?? [...core.config.channels.keys()];
  const event = { at: formatInstant(core.clock.now()), host: core.config.settings.hostname, kind, title, text, details: {} };
  core.notifier.tell({ ...event, ...(jobName === "" ? {} : { job: jobName }) }, channels);
}
