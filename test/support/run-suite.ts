// The story of scripts/test: static steps, then the tests group by group, then what they left behind. The last line counts it all.
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { chooseSeed } from "./choose-seed.ts";
import { clearLeaks, closeRunArea, openRunArea } from "./leaks.ts";
import { runStep, type Step } from "./run-step.ts";
import { runTestFiles, type TestFilesRun } from "./run-test-files.ts";
import { formatStatus } from "./status-document.ts";
import { describeTitle, shortenPath, type TestResult } from "./test-results.ts";

interface Group {
  readonly name: string;
  readonly pattern: string;
  /** Test files that run at the same time. */
  readonly concurrency: number;
}

const root = resolve(import.meta.dirname, "../..");
const groups: readonly Group[] = [
  { name: "unit tests", pattern: "src/**/*.test.ts", concurrency: availableParallelism() },
  { name: "contract tests", pattern: "test/contracts/**/*.test.ts", concurrency: 2 },
  { name: "integration tests", pattern: "test/integration/**/*.test.ts", concurrency: 2 },
  { name: "tooling tests", pattern: "test/tooling/**/*.test.ts", concurrency: 2 },
  { name: "end-to-end tests", pattern: "test/e2e/**/*.test.ts", concurrency: 2 },
  { name: "systemd tests", pattern: "test/systemd/**/*.test.ts", concurrency: 1 },
];

const steps: readonly Step[] = [
  { name: "type check", npmScript: "typecheck" },
  { name: "lint", npmScript: "lint" },
  { name: "format check", npmScript: "format:check" },
  { name: "unused code", npmScript: "knip" },
  { name: "build", npmScript: "build" },
];

/** Passed, failed and skipped items: tests and steps alike. */
class Tally {
  passed = 0;
  readonly failures: string[] = [];
  skipped = 0;
  readonly results: TestResult[] = [];

  add(results: readonly TestResult[]): void {
    this.results.push(...results);
    for (const result of results) {
      if (result.outcome === "passed") this.passed += 1;
      if (result.outcome === "skipped") this.skipped += 1;
      if (result.outcome === "failed") this.failures.push(`${shortenPath(root, result.file)}:${result.line}  ${describeTitle(result)}`);
    }
  }
}

async function runSuite(): Promise<number> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { long: { type: "boolean", default: false } } });
  const selection = positionals.map((path) => resolve(path));
  const length = values.long ? "long" : "bounded";
  const seed = chooseSeed(root, length);
  console.log(`seed of what is tried by chance: HOLDFAST_SEED=${seed}`);
  const minutes = values.long ? 24 * 60 : 75;
  const watchdog = AbortSignal.timeout(minutes * 60_000);
  const interrupted = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, () => interrupted.abort());
  const signal = AbortSignal.any([watchdog, interrupted.signal]);

  const tally = new Tally();
  const missing = selection.filter((path) => !existsSync(path));
  for (const path of missing) tally.failures.push(`no such file: ${path}`);
  if (selection.length === 0) await runSteps(tally, signal);
  const checksFailed = tally.failures.length;
  const area = openRunArea();
  try {
    for (const group of [...groups, others]) {
      const files = selectFiles(group, selection);
      if (files.length > 0 && !signal.aborted)
        await runGroup(group, { root, files, area, length, concurrency: group.concurrency, seed }, tally, signal);
    }
  } finally {
    closeRunArea(area);
  }
  if (watchdog.aborted) tally.failures.push(`the whole run took longer than ${minutes} minutes`);
  if (interrupted.signal.aborted) tally.failures.push("the run was interrupted");

  const isCi = process.env["CI"] === "true";
  // What the tests prove does not hang on the looks of the tree.
  if (tally.failures.length === checksFailed && selection.length === 0 && !values.long)
    updateStatus(tally.results, isCi ? "compare" : "write");
  if (tally.failures.length > 0) console.log(`\nFailures:\n${tally.failures.map((text) => `  ${text}\n`).join("")}`);
  if (isCi && tally.skipped > 0) console.log("\nSkipped tests count as failure where CI=true.");
  console.log(`${tally.passed} passed, ${tally.failures.length} failed, ${tally.skipped} skipped`);
  return tally.failures.length > 0 || (isCi && tally.skipped > 0) ? 1 : 0;
}

async function runSteps(tally: Tally, signal: AbortSignal): Promise<void> {
  rmSync(join(root, "dist"), { recursive: true, force: true });
  const withMain = existsSync(join(root, "src/main.ts"))
    ? [...steps, { name: "built program", command: [process.execPath, "dist/main.js", "--help"] }]
    : steps;
  for (const step of withMain) {
    const started = performance.now();
    const { ok, output } = await runStep(root, step, signal);
    announce(ok ? "OK" : "FAILED", step.name, "", started);
    if (ok) {
      tally.passed += 1;
    } else {
      tally.failures.push(step.name);
      console.log(output.trimEnd().replaceAll(/^/gm, "    "));
    }
  }
}

async function runGroup(group: Group, run: TestFilesRun, tally: Tally, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  const before = tally.failures.length;
  const { results, findings } = await runTestFiles(run, signal);
  tally.add(results);
  for (const finding of [...findings, ...(await clearLeaks(run.area))]) {
    console.log(`  FAILED  ${finding}`);
    tally.failures.push(`${group.name}: ${finding}`);
  }
  const failed = tally.failures.length - before;
  const passed = results.filter((result) => result.outcome === "passed").length;
  const skipped = results.filter((result) => result.outcome === "skipped").length;
  announce(failed === 0 ? "OK" : "FAILED", group.name, `${passed} passed, ${failed} failed, ${skipped} skipped`, started);
}

function announce(verdict: "OK" | "FAILED", name: string, counts: string, startedAtMs: number): void {
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
  console.log([verdict.padEnd(6), name, counts, `${seconds} s`].filter((part) => part !== "").join("  "));
}

/** Files that were named and belong to no group. */
const others: Group = { name: "other tests", pattern: "", concurrency: 2 };

function selectFiles(group: Group, selection: readonly string[]): readonly string[] {
  const find = (each: Group): readonly string[] => globSync(each.pattern, { cwd: root }).map((path) => join(root, path));
  if (selection.length === 0) return group === others ? [] : find(group).toSorted();
  const named = selection.flatMap((path) => {
    if (!existsSync(path)) return [];
    return statSync(path).isDirectory() ? globSync("**/*.test.ts", { cwd: path }).map((name) => join(path, name)) : [path];
  });
  const grouped = new Set(group === others ? groups.flatMap(find) : find(group));
  return [...new Set(named)].filter((path) => grouped.has(path) !== (group === others)).toSorted();
}

function updateStatus(results: readonly TestResult[], how: "write" | "compare"): void {
  const path = join(root, "docs/STATUS.md");
  const text = formatStatus(root, results);
  if (existsSync(path) && readFileSync(path, "utf8") === text) return;
  if (how === "write") {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  console.log(
    how === "write"
      ? "docs/STATUS.md was brought up to date"
      : "Notice: docs/STATUS.md differs from what this run proves; run scripts/test and commit it",
  );
}

process.exitCode = await runSuite();
