import { readFileSync } from "node:fs";
import { relative } from "node:path";

export type Outcome = "passed" | "failed" | "skipped";

export interface TestResult {
  readonly kind: "test";
  /** Absolute path of the test file. */
  readonly file: string;
  readonly line: number;
  /** Names of the enclosing suites and tests, outermost first, and the test's own last. */
  readonly titles: readonly string[];
  readonly outcome: Outcome;
}

/** What the reporter writes, one JSON value per line, as things happen: the runner watches the file grow. */
export type ResultRecord =
  | TestResult
  | { readonly kind: "started" | "progressed" | "finished"; readonly file: string }
  | { readonly kind: "warning"; readonly file: string; readonly text: string };

export function readResults(path: string): readonly ResultRecord[] {
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as ResultRecord);
}

export function describeTitle(result: TestResult): string {
  return result.titles.join(" › ");
}

/** A path as people want to read it: from the folder given, unless it lies outside. */
export function shortenPath(folder: string, file: string): string {
  const path = relative(folder, file);
  return path.startsWith("..") ? file : path;
}
