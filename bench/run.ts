/**
 * Compares Holdfast with the raw tools, interleaved in one run, and prints ratios: `npm run bench [-- --quick]`.
 * Both sides copy, hash (source and stored bytes), compress and fsync; what Holdfast does beyond that (integrity check, contents, read-back) is
 * shown in columns of its own. Writes bench/RESULTS.md.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { makeDatabase, makeTree } from "./make-inputs.ts";
import { measureDaemon } from "./measure-daemon.ts";
import { findMedian, measureCommand } from "./measure.ts";
import { BenchPlace } from "./setups.ts";

const quick = process.argv.includes("--quick");
const rounds = quick ? 1 : 5;
const scale = quick ? 0.1 : 1;
const oneOperation = fileURLToPath(new URL("one-operation.ts", import.meta.url));
const lines: string[] = [];

function print(line: string): void {
  console.log(line);
  lines.push(line);
}

const mib = (bytes: number): string => `${Math.round(bytes / (1 << 20))} MiB`;
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

interface Phases {
  readonly endMs: number;
  readonly took: Readonly<Record<string, number>>;
  readonly peakBytes: number;
  readonly result: {
    readonly manifestKey?: string;
    readonly manifest?: { readonly members: readonly { readonly contents: { readonly facts: Readonly<Record<string, number>> } }[] };
  };
}

async function runOperation(kind: string, setupPath: string): Promise<Phases> {
  const { stdout, peakBytes } = await measureCommand(process.execPath, [oneOperation, kind, setupPath], { UV_THREADPOOL_SIZE: "4" });
  return { ...(JSON.parse(stdout) as Omit<Phases, "peakBytes">), peakBytes };
}

/** Lets what was written and removed before reach the disk: else whoever comes second pays for it. */
async function settle(): Promise<void> {
  await runShell("sync");
  await delay(quick ? 0 : 5_000);
}

async function runShell(script: string): Promise<number> {
  return (await measureCommand("bash", ["-c", `set -euo pipefail; ${script}`])).wallMs;
}

const sum = (took: Phases["took"], names: readonly string[]): number => names.reduce((total, name) => total + (took[name] ?? 0), 0);

interface Case {
  readonly name: string;
  readonly job: string;
  readonly datastore: { readonly name: string; readonly kind: string; readonly options: unknown };
  readonly rawBackup: string;
  readonly rawRestore: string;
  /** Time of what the raw side does too. */
  comparable(phases: Phases): number;
}

async function compare(place: BenchPlace, one: Case): Promise<void> {
  const raw: number[] = [];
  const ours: number[] = [];
  const beyond: number[] = [];
  const rawRestores: number[] = [];
  const restores: number[] = [];
  const compared: number[] = [];
  let peak = 0;
  for (let round = 0; round < rounds; round += 1) {
    await place.reset();
    await settle();
    raw.push(await runShell(one.rawBackup));
    const backup = await runOperation("backup", place.save(place.createBackup(one.job, one.datastore)));
    ours.push(one.comparable(backup));
    beyond.push(backup.endMs - one.comparable(backup));
    peak = Math.max(peak, backup.peakBytes);
    await settle();
    rawRestores.push(await runShell(one.rawRestore));
    await settle();
    const restore = await runOperation("restore", place.save(place.createRestore(one.job, backup.result.manifestKey ?? "", one.datastore)));
    // The SQLite side of the raw tools checks its copy too; of the tree it only extracts one.
    const restored = ["staging", "swapping", "removing what was put aside", ...(one.job === "sqlite" ? ["comparing"] : [])];
    restores.push(sum(restore.took, restored));
    compared.push(restore.endMs - sum(restore.took, restored));
    peak = Math.max(peak, restore.peakBytes);
  }
  const ratio = (mine: readonly number[], theirs: readonly number[]): string => `${(findMedian(mine) / findMedian(theirs)).toFixed(2)} ×`;
  print(
    `| ${one.name} backup | ${seconds(findMedian(raw))} | ${seconds(findMedian(ours))} | **${ratio(ours, raw)}** | ${seconds(findMedian(beyond))} | ${mib(peak)} |`,
  );
  print(
    `| ${one.name} restore | ${seconds(findMedian(rawRestores))} | ${seconds(findMedian(restores))} | **${ratio(restores, rawRestores)}** | ${seconds(findMedian(compared))} | |`,
  );
}

async function measureMemory(place: BenchPlace, directory: string): Promise<void> {
  print("\n## Memory of the worker with its children, by size of the input\n");
  print("| input | peak |\n| --- | --- |");
  for (const size of [100, quick ? 200 : 2048]) {
    const path = join(directory, `memory-${size}.db`);
    makeDatabase(path, size * 2 ** 20);
    await place.reset();
    const { peakBytes } = await runOperation(
      "backup",
      place.save(place.createBackup("memory", { name: "memory", kind: "sqlite", options: { path } })),
    );
    print(`| SQLite ${mib(statSync(path).size)} | ${mib(peakBytes)} |`);
    rmSync(path);
  }
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), "holdfast-bench-"));
  try {
    const place = new BenchPlace(directory);
    const database = join(directory, "big.db");
    const tree = join(directory, "tree");
    const target = join(directory, "raw");
    mkdirSync(tree);
    makeDatabase(database, scale * 2 ** 30);
    makeTree(tree, scale * 20_000, scale * (260 << 20));
    print(`# Benchmarks\n`);
    print(
      `${availableParallelism()} cores, Node ${process.version}, ${rounds} round${rounds === 1 ? "" : "s"}, medians, both sides interleaved. Ratios hold, absolute times do not.\n`,
    );
    print(
      "Raw tools: `sqlite3 .backup` then `zstd -3 -T0`; `tar | zstd -3 -T0`; each with sha256sum of the plain and of the stored bytes, and a sync. Restores: `zstd -d` and an integrity check; `zstd -d | tar -x`, which replaces a tree of the same size; each with sha256sum and a sync.\n",
    );
    print(
      "| | raw tools | Holdfast, the same work | ratio | beyond it (verification, comparison, pre-restore backup) | peak memory |\n| --- | --- | --- | --- | --- | --- |",
    );
    await compare(place, {
      name: `SQLite ${mib(statSync(database).size)}, zstd:3`,
      job: "sqlite",
      datastore: { name: "big", kind: "sqlite", options: { path: database } },
      rawBackup: `rm -rf ${target}; mkdir ${target}; sqlite3 ${database} ".backup ${target}/b.db"; sha256sum ${target}/b.db >${target}/sum & zstd -q -3 -T0 -c ${target}/b.db | tee >(sha256sum >${target}/sum2) >${target}/b.zst; wait; sync ${target}/b.zst; rm ${target}/b.db`,
      rawRestore: `rm -f ${target}/r.db; zstd -q -d -c ${target}/b.zst | tee >(sha256sum >${target}/sum3) >${target}/r.db; sync ${target}/r.db; sqlite3 ${target}/r.db "PRAGMA integrity_check" >/dev/null; rm ${target}/r.db`,
      comparable: ({ took, result }) =>
        sum(took, ["copying", "storing", "publishing"]) - (result.manifest?.members[0]?.contents.facts["checkMs"] ?? 0),
    });
    // What the raw restore replaces.
    execFileSync("cp", ["-a", tree, join(directory, "there")]);
    await compare(place, {
      name: `tree of ${scale * 20_000 + 4} files, ${mib(Number(execFileSync("du", ["-sb", tree], { encoding: "utf8" }).split("\t")[0]))}, zstd:3`,
      job: "tree",
      datastore: { name: "tree", kind: "files", options: { root: tree } },
      rawBackup: `rm -rf ${target}; mkdir ${target}; tar --format=posix --xattrs --acls --sparse -cf - -C ${tree} . | tee >(sha256sum >${target}/sum) | zstd -q -3 -T0 -c | tee >(sha256sum >${target}/sum2) >${target}/t.zst; sync ${target}/t.zst`,
      rawRestore: `mkdir ${target}/new; zstd -q -d -c ${target}/t.zst | tee >(sha256sum >${target}/sum3) | tar -xf - --xattrs --acls -C ${target}/new; sync -f ${target}/new; mv ${directory}/there ${target}/old; mv ${target}/new ${directory}/there; rm -rf ${target}/old`,
      comparable: ({ took }) => sum(took, ["read", "storing", "publishing"]),
    });
    await measureMemory(place, directory);
    for (const line of await measureDaemon(directory, database, quick ? 10 : 60)) print(line);
    writeFileSync(new URL("RESULTS.md", import.meta.url), `${lines.join("\n")}\n`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
