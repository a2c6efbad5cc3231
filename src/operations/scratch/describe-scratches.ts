import { formatInstant } from "../../base/clock.ts";
import { listScratches, type ScratchRecord } from "./scratch-record.ts";

/** A scratch place, for those who look into it. */
export interface ScratchPlace {
  readonly id: string;
  readonly state: ScratchRecord["state"];
  readonly backup: string;
  readonly job: string;
  readonly createdAt: string;
  /** When it is removed. */
  readonly until: string;
  readonly bytes: number;
  readonly members: readonly {
    readonly datastore: string;
    readonly kind: string;
    readonly place: string;
    readonly bytes: number;
    readonly access: readonly string[];
    readonly notes: readonly string[];
  }[];
}

/** What `restore --to scratch` has made, oldest first. */
export function describeScratches(
  stateDir: string,
  nowMs: number,
): { readonly places: readonly ScratchPlace[]; readonly problems: readonly string[] } {
  const { scratches, problems } = listScratches(stateDir);
  const over = scratches
    .filter(({ untilMs }) => untilMs + graceMs < nowMs)
    .map(({ id, backup }) => `The scratch place ${id} of ${backup.name} is there beyond its time: \`holdfast scratch remove ${id}\``);
  return { places: scratches.map(describeScratch), problems: [...problems, ...over] };
}

/** Removing takes its time, and its place in the queue. */
const graceMs = 3_600_000;

function describeScratch({ id, state, backup, job, createdAtMs, untilMs, members }: ScratchRecord): ScratchPlace {
  return {
    id,
    state,
    backup: backup.name,
    job,
    createdAt: formatInstant(createdAtMs),
    until: formatInstant(untilMs),
    bytes: members.reduce((sum, { bytes }) => sum + bytes, 0),
    members: members.map(({ datastore, kind, place, bytes, access, notes }) => ({ datastore, kind, place, bytes, access, notes })),
  };
}
