import type { ManifestMember } from "../archive/manifest.ts";
import { formatInstant } from "../base/clock.ts";
import type { Note } from "../base/note.ts";
import type { Copying } from "../datastores/contract.ts";
import { finishMember, storeMember, type CollectedMember, type MemberSource, type StoredMember } from "./collect-member.ts";
import { whileHeld } from "./hold/while-held.ts";
import type { TaskPorts } from "./setup.ts";

/** A datastore whose state is fixed. */
export interface TakenSnapshot {
  readonly snapshot: NonNullable<ManifestMember["snapshot"]>;
  /** Where its driver fixes a state only by dumping it. */
  readonly stored: StoredMember | undefined;
}

/** Fixes the state of a datastore, which is held still meanwhile where its setup says so. */
export async function takeSnapshot(source: MemberSource, directory: string, ports: TaskPorts, signal: AbortSignal): Promise<TakenSnapshot> {
  const { datastore, setup } = source;
  const { copying = "live", hold } = setup;
  if (hold === undefined) return await fixState(source, copying, ports, signal);
  ports.progress({ phase: copying === "paused" ? "pausing" : "stopping", datastore });
  const order = { what: `"${datastore}" is ${copying}`, ...hold, directory };
  const { value, heldMs } = await whileHeld(order, ports, signal, (held) => fixState(source, copying, ports, held));
  return { ...value, snapshot: { ...value.snapshot, heldMs } };
}

async function fixState(source: MemberSource, copying: Copying, ports: TaskPorts, signal: AbortSignal): Promise<TakenSnapshot> {
  const { datastore, opened } = source;
  ports.progress({ phase: "taking a snapshot", datastore });
  let stored: StoredMember | undefined;
  if (opened.snapshot === undefined) stored = await storeWhole(source, copying, ports, signal);
  else await opened.snapshot(signal);
  return { snapshot: { at: formatInstant(ports.now()), copying }, stored };
}

async function storeWhole(source: MemberSource, copying: Copying, ports: TaskPorts, signal: AbortSignal): Promise<StoredMember> {
  const stored = await storeMember(source, ports, signal);
  const meanwhile = copying === "live" ? "the application was frozen" : `its server was ${copying}`;
  const message = `it cannot be copied apart from being dumped, so ${meanwhile} until all of it was dumped`;
  const note: Note = { level: "info", code: "dumped-while-held", message };
  return { ...stored, notes: [...stored.notes, note] };
}

/** Dumps what was fixed, and reads it back. */
export async function completeMember(
  source: MemberSource,
  { snapshot, stored }: TakenSnapshot,
  ports: TaskPorts,
  signal: AbortSignal,
): Promise<CollectedMember> {
  const collected = await finishMember(source, stored ?? (await storeMember(source, ports, signal)), ports, signal);
  return { ...collected, member: { ...collected.member, snapshot } };
}
