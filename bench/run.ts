/**
 * Compares Holdfast with the raw tools, interleaved in one run, and prints ratios: `npm run bench [-- --quick] [-- CASE...]` with the cases
 * sqlite, tree, postgresql (or postgresql-custom, -plain, -directory), redis, memory, daemon; BENCH_ROUNDS=N rounds, BENCH_SCALE=0.3 smaller data,
 * BENCH_PHASES=1 shows where the time goes. What Holdfast does beyond the raw tools (integrity check, contents, read-back) is shown
 * in columns of its own. A whole run writes bench/RESULTS.md, one of some cases their rows in it (not those of a restore's parts, which it prints).
 */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { openPostgres } from "../test/support/postgres.ts";
import { createSqliteCase, createTreeCase } from "./cases-local.ts";
import { BenchRedis, createPostgresCases, createRedisCase, fillPostgres } from "./cases-servers.ts";
import { compare, mib, partsHead, runOperation, type Case } from "./compare.ts";
import { makeDatabase } from "./make-inputs.ts";
import { measureDaemon } from "./measure-daemon.ts";
import { BenchPlace } from "./setups.ts";

const quick = process.argv.includes("--quick");
const chosen = process.argv.slice(2).filter((word) => !word.startsWith("-"));
const rounds = quick ? 1 : Number(process.env["BENCH_ROUNDS"] ?? 5);
const scale = Number(process.env["BENCH_SCALE"] ?? (quick ? 0.1 : 1));
const results = new URL("RESULTS.md", import.meta.url);
const lines: string[] = [];
const parts: string[] = [];

function print(line: string): void {
  console.log(line);
  lines.push(line);
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

function printHead(): void {
  print(`# Benchmarks\n`);
  print(
    `${availableParallelism()} cores, Node ${process.version}, ${rounds} round${rounds === 1 ? "" : "s"}, medians, both sides interleaved; before each measurement the disk is synced and memory touched. Ratios hold, absolute times do not.\n`,
  );
  print(
    "Raw tools: `sqlite3 .backup` then `zstd -3 -T0`; `tar | zstd -3 -T0`; each with sha256sum of the plain and of the stored bytes, and a sync. Restores: `zstd -d` and an integrity check; `zstd -d | tar -x`, which replaces a tree of the same size; each with sha256sum and a sync.\n",
  );
  print(
    "Of servers, without any hash: `pg_dump -Fc -Z0 | zstd -3 -T2`, `pg_dump -Fp | zstd -3 -T2`, `pg_dump -Fd -j2 -Z0` then `tar | zstd -3 -T2`, `redis-cli --rdb - | zstd -3 -T2`, each with a sync; the second ratio is to the same with `openssl dgst -sha256` on both sides of zstd, as Holdfast hashes. Restores: a database of the same size is dropped, a new one filled by `pg_restore -j2` from a temporary file, by `psql -1`, by `pg_restore -j2` from the extracted directory; for Redis through a scratch server and replication. Both sides use the same private servers (PostgreSQL 15 without autovacuum, a checkpoint before each measurement; Redis 7), whose memory is not counted.\n",
  );
  print(
    "| | raw tools | Holdfast, the same work | ratio | beyond it (verification, comparison, pre-restore backup) | peak memory |\n| --- | --- | --- | --- | --- | --- |",
  );
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(process.env["BENCH_DIR"] ?? tmpdir(), "holdfast-bench-"));
  const wants = (name: string): boolean => chosen.length === 0 || chosen.includes(name);
  try {
    const place = new BenchPlace(directory);
    const run = async (one: Case): Promise<void> => {
      const { lines: both, parts: inParts } = await compare(place, one, rounds);
      for (const line of both) print(line);
      parts.push(inParts);
    };
    printHead();
    if (wants("sqlite")) await run(createSqliteCase(directory, scale));
    if (wants("tree")) await run(createTreeCase(directory, scale));
    const isOfPostgres = (one: Case): boolean => wants("postgresql") || chosen.includes(one.job);
    if (wants("postgresql") || chosen.some((name) => name.startsWith("postgresql-"))) {
      await using server = await openPostgres(15, { config: ["shared_buffers = 256MB", "max_wal_size = 4GB", "autovacuum = off"] });
      fillPostgres(server, scale);
      for (const one of createPostgresCases(directory, server).filter(isOfPostgres)) await run(one);
    }
    if (wants("redis")) {
      await using redis = new BenchRedis(directory);
      await redis.fill(500 * scale);
      await run(await createRedisCase(directory, redis));
    }
    if (parts.length > 0) for (const line of [partsHead, ...parts]) print(line);
    if (wants("memory")) await measureMemory(place, directory);
    if (wants("daemon")) for (const line of await measureDaemon(directory, createDaemonInput(directory), quick ? 10 : 60)) print(line);
    if (chosen.length === 0) writeFileSync(results, `${lines.join("\n")}\n`);
    else if (scale === 1) replaceRows();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Of a run of some cases: their rows take the place of those that were there, with the number of rounds. */
function replaceRows(): void {
  const rows = lines
    .filter((line) => line.includes("**"))
    .map((line) => line.replace(/(?<=^\| [^|]*) \|/, `, ${rounds === 1 ? "1 round" : `${rounds} rounds`} |`));
  const isMeasured = (line: string): boolean => rows.some((row) => /^\| \w+/.exec(row)?.[0] === /^\| \w+/.exec(line)?.[0]);
  const kept = readFileSync(results, "utf8")
    .split("\n")
    .filter((line) => !line.includes("**") || !isMeasured(line));
  kept.splice(kept.findLastIndex((line) => line.includes("**")) + 1, 0, ...rows);
  writeFileSync(results, kept.join("\n"));
}

function createDaemonInput(directory: string): string {
  const path = join(directory, "daemon.db");
  makeDatabase(path, scale * 2 ** 30);
  return path;
}

await main();
