import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { findMedian, measureCommand } from "./measure.ts";
import type { BenchPlace } from "./setups.ts";

const oneOperation = fileURLToPath(new URL("one-operation.ts", import.meta.url));

export const mib = (bytes: number): string => `${Math.round(bytes / (1 << 20))} MiB`;
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

export interface Phases {
  readonly endMs: number;
  readonly took: Readonly<Record<string, number>>;
  /** Of a restore, by what each part begins with. */
  readonly parts: Readonly<Record<string, number>>;
  readonly peakBytes: number;
  readonly result: {
    readonly manifestKey?: string;
    readonly manifest?: { readonly members: readonly { readonly contents: { readonly facts: Readonly<Record<string, number>> } }[] };
  };
}

export async function runOperation(kind: string, setupPath: string): Promise<Phases> {
  const { stdout, peakBytes } = await measureCommand(process.execPath, [oneOperation, kind, setupPath], { UV_THREADPOOL_SIZE: "4" });
  const phases = { ...(JSON.parse(stdout) as Omit<Phases, "peakBytes">), peakBytes };
  if (process.env["BENCH_PHASES"] !== undefined) console.error(kind, phases.took);
  return phases;
}

/** Ends what the step before has left to do: else whoever comes second pays for it. */
async function settle(one: Case, rounds: number): Promise<void> {
  if (one.settle !== undefined) await runShell(one.settle);
  await settleDisk(rounds);
}

/**
 * Lets what was written and removed before reach the disk; then touches as much memory as a step takes. A virtual machine may get fresh memory
 * from its host at a third of the speed of memory that it had a moment ago, and which side gets which would be chance.
 */
async function settleDisk(rounds: number): Promise<void> {
  await runShell("sync");
  await delay(rounds === 1 ? 0 : 5_000);
  await runShell("dd if=/dev/zero of=/dev/null bs=4G count=1 iflag=fullblock status=none");
}

async function runShell(script: string): Promise<number> {
  return (await measureCommand("bash", ["-c", `set -euo pipefail; ${script}`])).wallMs;
}

export const sum = (took: Phases["took"], names: readonly string[]): number => names.reduce((total, name) => total + (took[name] ?? 0), 0);

export interface Case {
  readonly name: string;
  readonly job: string;
  readonly datastore: { readonly name: string; readonly kind: string; readonly options: unknown };
  readonly rawBackup: string;
  /** The same with the hashes that Holdfast takes, of the plain and of the stored bytes, by OpenSSL. */
  readonly hashedBackup?: string;
  readonly rawRestore: string;
  /** As of a backup. */
  readonly hashedRestore?: string;
  /** Makes what the raw restore replaces, as large as what it restores. */
  readonly present?: string;
  /** Ends what a server still does for the step before: whoever comes next would pay for it. */
  readonly settle?: string;
  /** Time of what the raw side does too: of a backup, of a restore. */
  comparable(phases: Phases): number;
  restored(phases: Phases): number;
}

export interface Compared {
  /** Of the table of both sides. */
  readonly lines: readonly string[];
  /** Of the table of a restore's parts. */
  readonly parts: string;
}

export const partsHead = `
## Restores in parts

What a restore takes from its beginning to its end, without commands around it. The goal: all of it but the pre-restore backup takes at most
1.3 times as long as the raw restore.

| | raw restore | verify the backup | stage and compare | save what is there | swap | remove what was put aside | all but save, to raw |
| --- | --- | --- | --- | --- | --- | --- | --- |`;

/** Medians of the parts, and of the whole without the pre-restore backup against the raw restore. */
function describeParts(name: string, raw: readonly number[], hashed: readonly number[], restores: readonly Phases[]): string {
  const begins = ["verifying", "staging", "saving the present data", "swapping", "removing what was put aside"];
  const medians = begins.map((begin) => findMedian(restores.map(({ parts }) => parts[begin] ?? 0)));
  const rest = findMedian(restores.map(({ endMs, parts }) => endMs - (parts["saving the present data"] ?? 0)));
  const cells = [findMedian(raw), ...medians].map(seconds).join(" | ");
  const alike = hashed.length === 0 ? "" : `, ${(rest / findMedian(hashed)).toFixed(2)} × with the same hashes`;
  return `| ${name} | ${cells} | ${(rest / findMedian(raw)).toFixed(2)} ×${alike} |`;
}

/** Runs both sides so many times, interleaved. */
export async function compare(place: BenchPlace, one: Case, rounds: number): Promise<Compared> {
  const raw: number[] = [];
  const hashed: number[] = [];
  const ours: number[] = [];
  const beyond: number[] = [];
  const rawRestores: number[] = [];
  const hashedRestores: number[] = [];
  const restores: number[] = [];
  const compared: number[] = [];
  const whole: Phases[] = [];
  let peak = 0;
  for (let round = 0; round < rounds; round += 1) {
    await place.reset();
    await settle(one, rounds);
    if (one.hashedBackup !== undefined) {
      hashed.push(await runShell(one.hashedBackup));
      await settle(one, rounds);
    }
    raw.push(await runShell(one.rawBackup));
    await settle(one, rounds);
    const backup = await runOperation("backup", place.save(place.createBackup(one.job, one.datastore)));
    ours.push(one.comparable(backup));
    beyond.push(backup.endMs - one.comparable(backup));
    peak = Math.max(peak, backup.peakBytes);
    await settle(one, rounds);
    const restoreBy = async (script: string): Promise<number> => {
      if (one.present !== undefined) {
        await runShell(one.present);
        await settleDisk(rounds);
      }
      const wallMs = await runShell(script);
      await settle(one, rounds);
      return wallMs;
    };
    rawRestores.push(await restoreBy(one.rawRestore));
    if (one.hashedRestore !== undefined) hashedRestores.push(await restoreBy(one.hashedRestore));
    const restore = await runOperation("restore", place.save(place.createRestore(one.job, backup.result.manifestKey ?? "", one.datastore)));
    restores.push(one.restored(restore));
    compared.push(restore.endMs - one.restored(restore));
    whole.push(restore);
    peak = Math.max(peak, restore.peakBytes);
  }
  const ratio = (mine: readonly number[], theirs: readonly number[]): string => `${(findMedian(mine) / findMedian(theirs)).toFixed(2)} ×`;
  const alike = hashed.length === 0 ? "" : `, ${ratio(ours, hashed)} with the same hashes`;
  const lines = [
    `| ${one.name} backup | ${seconds(findMedian(raw))} | ${seconds(findMedian(ours))} | **${ratio(ours, raw)}**${alike} | ${seconds(findMedian(beyond))} | ${mib(peak)} |`,
    `| ${one.name} restore | ${seconds(findMedian(rawRestores))} | ${seconds(findMedian(restores))} | **${ratio(restores, rawRestores)}** | ${seconds(findMedian(compared))} | |`,
  ];
  return { lines, parts: describeParts(one.name, rawRestores, hashedRestores, whole) };
}
