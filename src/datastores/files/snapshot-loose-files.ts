import type { DumpEntry, DumpFacts } from "../contract.ts";
import { dumpLooseFiles, type LooseDump } from "./dump-loose-files.ts";

/** Copies of all files as they were at one time, and what happened while they were made. */
export interface LooseSnapshot {
  readonly entries: readonly DumpEntry[];
  readonly facts: DumpFacts;
}

export async function snapshotLooseFiles(dump: LooseDump, signal: AbortSignal): Promise<LooseSnapshot> {
  const steps = dumpLooseFiles(dump, signal);
  const entries: DumpEntry[] = [];
  let step = await steps.next();
  for (; step.done !== true; step = await steps.next()) entries.push(step.value);
  return { entries, facts: step.value };
}

export async function* dumpLooseSnapshot({ entries, facts }: LooseSnapshot): AsyncGenerator<DumpEntry, DumpFacts, undefined> {
  yield* entries;
  return facts;
}
