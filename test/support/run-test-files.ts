import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type RunArea } from "./leaks.ts";
import { readResults, type ResultRecord, type TestResult } from "./test-results.ts";

export interface TestFilesRun {
  readonly root: string;
  readonly files: readonly string[];
  readonly area: RunArea;
  /** "long" gives the tests HOLDFAST_LONG=1 and ten times the time. */
  readonly length: "bounded" | "long";
  readonly concurrency: number;
  /** Of what tests choose by chance. */
  readonly seed: number;
}

export interface TestFilesOutcome {
  readonly results: readonly TestResult[];
  /** What went wrong beside the tests: warnings, a run that hangs or dies. */
  readonly findings: readonly string[];
}

const testTimeoutMs = Number(process.env["HOLDFAST_TEST_TIMEOUT_MS"] ?? 120_000);

/** Runs test files with Node's runner, one process per file; their failures are printed as they come. */
export async function runTestFiles(run: TestFilesRun, signal: AbortSignal): Promise<TestFilesOutcome> {
  const records = mkdtempSync("/tmp/holdfast-results-");
  const resultsFile = join(records, "results.jsonl");
  const warningsFile = join(records, "warnings");
  writeFileSync(resultsFile, "");
  writeFileSync(warningsFile, "");
  try {
    const timeoutMs = run.length === "long" ? testTimeoutMs * 10 : testTimeoutMs;
    const ended = await runNode(run, timeoutMs, resultsFile, warningsFile, signal);
    const found = readResults(resultsFile);
    const results = found.filter((record) => record.kind === "test");
    const findings = [...findWarnings(found), ...parseWarnings(readFileSync(warningsFile, "utf8"))];
    const unexplained = ended !== undefined && !results.some((result) => result.outcome === "failed");
    if (unexplained || ended === "hung") findings.push(`${describeEnd(ended)}${describeUnfinished(run, found)}`);
    return { results, findings };
  } finally {
    rmSync(records, { recursive: true, force: true });
  }
}

type BadEnd = "hung" | { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** Gives undefined when the runner exited with 0. */
async function runNode(
  run: TestFilesRun,
  timeoutMs: number,
  resultsFile: string,
  warningsFile: string,
  signal: AbortSignal,
): Promise<BadEnd | undefined> {
  const { NODE_TEST_CONTEXT: _, FORCE_COLOR: __, ...inherited } = process.env; // the first is set when this runner is itself under test
  const options = ["--trace-warnings", "--test", `--test-timeout=${timeoutMs}`, `--test-concurrency=${run.concurrency}`];
  const reporter = [`--test-reporter=${join(import.meta.dirname, "reporter.ts")}`, "--test-reporter-destination=stdout"];
  const child = spawn(process.execPath, [...options, ...reporter, ...run.files], {
    cwd: run.root,
    detached: true, // a process group of its own, so that it can be ended as one
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      ...inherited,
      PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}`,
      TMPDIR: run.area.directory,
      HOLDFAST_TEST_RUN: [process.env["HOLDFAST_TEST_RUN"], run.area.id].filter((id) => id !== undefined).join("/"),
      HOLDFAST_TEST_RESULTS: resultsFile,
      HOLDFAST_SEED: String(run.seed),
      NODE_COMPILE_CACHE: join(run.root, ".runtime", "compile-cache"), // compiling took a fifth of the end-to-end tests' processor time
      NODE_REDIRECT_WARNINGS: warningsFile, // of the programs under test, whose standard error the tests may swallow
      ...(run.length === "long" ? { HOLDFAST_LONG: "1" } : {}),
    },
  });
  const ended = new AbortController();
  const exit = new Promise<BadEnd | undefined>((fulfil, reject) => {
    child.once("error", reject);
    child.once("exit", (code, by) => fulfil(code === 0 ? undefined : { code, signal: by }));
  });
  try {
    const end = await Promise.race([exit, watchProgress(resultsFile, timeoutMs * 2, AbortSignal.any([signal, ended.signal]))]);
    if (end === "hung") endGroup(child.pid); // not otherwise: what the tests left running is to be seen
    await exit;
    return end;
  } finally {
    ended.abort();
  }
}

/** Resolves when no result has come for so long that a test file must hang after its tests, or when the signal aborts. */
async function watchProgress(file: string, silenceMs: number, signal: AbortSignal): Promise<"hung"> {
  let bytes = -1;
  let changedAt = performance.now();
  while (!signal.aborted && performance.now() - changedAt < silenceMs) {
    await delay(Math.min(500, silenceMs / 4), undefined, { signal }).catch(() => undefined);
    const size = signal.aborted ? bytes : statSync(file).size;
    if (size !== bytes) changedAt = performance.now();
    bytes = size;
  }
  return "hung";
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // all of it has ended
  }
}

function findWarnings(records: readonly ResultRecord[]): string[] {
  return records.flatMap((record) => (record.kind === "warning" ? [`warning: ${record.text} (${record.file})`] : []));
}

/** Each warning with the first line of its stack. */
function parseWarnings(text: string): readonly string[] {
  return text.match(/^\(node:\d+\) .*(\n +at .*)?/gm)?.map((warning) => warning.replace(/\n +/, " ")) ?? [];
}

function describeEnd(end: BadEnd): string {
  return end === "hung" ? "the test run hung or was stopped" : `the test runner ended with ${end.signal ?? `status ${end.code}`}`;
}

function describeUnfinished(run: TestFilesRun, records: readonly ResultRecord[]): string {
  const finished = new Set(records.flatMap((record) => (record.kind === "finished" ? [record.file] : [])));
  const unfinished = run.files.filter((file) => !finished.has(file));
  return unfinished.length === 0 ? "" : `; not finished: ${unfinished.join(", ")}`;
}
