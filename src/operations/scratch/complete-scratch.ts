import { HoldfastError } from "../../base/errors.ts";
import { formatInstant } from "../../base/clock.ts";
import { describeDuration } from "../../base/parse-duration.ts";
import type { JsonValue } from "../../catalog/contract.ts";
import type { Core } from "../core.ts";
import type { PayloadOf } from "../payload.ts";
import { requestScratchRemoval } from "./request-scratch.ts";
import type { ScratchResult } from "./run-scratch.ts";
import { readScratch, writeScratch } from "./scratch-record.ts";

interface ScratchCompletion {
  readonly state: "ok";
  readonly summary: string;
  readonly backupId: string;
  readonly details: JsonValue;
}

/** From now on the place is ready, and its time is what removes it. */
export async function completeScratch(
  core: Core,
  { scratchId, backupId }: PayloadOf<"scratch">,
  result: ScratchResult,
): Promise<ScratchCompletion> {
  const { stateDir } = core.config.settings;
  const record = readScratch(stateDir, scratchId);
  if (record === undefined) throw new HoldfastError("conflict", `The scratch place ${scratchId} was removed meanwhile`);
  await writeScratch(stateDir, { ...record, state: "ready" });
  const until = formatInstant(record.untilMs);
  const members = result.members.map(({ datastore, kind, place, bytes, access, notes }) => ({
    datastore,
    kind,
    place,
    bytes,
    access,
    notes,
  }));
  return {
    state: "ok",
    summary: `${result.name} is ready to look into as ${scratchId}, compared in ${describeDuration(result.tookMs)}; it is removed at ${until}`,
    backupId,
    details: { id: scratchId, backup: result.name, until, members },
  };
}

/** What a failure, a cancellation or a dead worker has left half-made goes at once, and not when somebody looks. */
export async function sweepScratch(core: Core, { scratchId }: PayloadOf<"scratch">, signal: AbortSignal): Promise<void> {
  if (readScratch(core.config.settings.stateDir, scratchId) === undefined) return;
  await requestScratchRemoval(core, scratchId, { requester: "scratch", priority: "maintenance" }, signal);
}
