import { HoldfastError } from "../base/errors.ts";

/** One thing that is wrong with the configuration. */
export interface ConfigProblem {
  /** Relative to the main file's directory, or `environment`, or `flags`. */
  readonly file: string;
  /** From 1; absent where the problem is not at a place in a file. */
  readonly line?: number;
  readonly column?: number;
  /** Dotted path of the value, `jobs.nightly.schedule`; empty for a whole file. */
  readonly path: string;
  readonly message: string;
  /** What was found, for people. */
  readonly found?: string;
  readonly allowed?: readonly string[];
  readonly didYouMean?: string;
}

/** A longer list of what is allowed is left out of the line where "did you mean" says enough. */
const longestList = 8;

/** `holdfast.yaml:12:5: jobs.nightly.corn: unknown key "corn"; did you mean "schedule"?` */
export function formatProblem(problem: ConfigProblem): string {
  const { file, line, column, path, message, allowed, didYouMean } = problem;
  const place = [file, line, column].filter((part) => part !== undefined).join(":");
  const meant = didYouMean === undefined ? "" : `; did you mean "${didYouMean}"?`;
  const isKnown = didYouMean !== undefined && (allowed?.length ?? 0) > longestList;
  const list = allowed === undefined || allowed.length === 0 || isKnown ? "" : `; allowed: ${allowed.join(", ")}`;
  return `${place}: ${path === "" ? "" : `${path}: `}${message}${list}${meant}`;
}

/** The one error that tells all problems, in the order of their places. */
export function createConfigError(path: string, problems: readonly ConfigProblem[]): HoldfastError {
  const lines = new Map(problems.map((problem) => [formatProblem(problem), problem]));
  const sorted = sortProblems([...lines.values()]);
  const count = sorted.length === 1 ? "1 problem" : `${sorted.length} problems`;
  return new HoldfastError("config-invalid", [`Cannot use the config ${path}: ${count}`, ...sorted.map(formatProblem)].join("\n"), {
    hint: "Correct the file, then run `holdfast check`.",
    details: { problems: sorted },
  });
}

function sortProblems(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
  const files = [...new Set(problems.map(({ file }) => file))];
  const rank = (problem: ConfigProblem): readonly number[] => [files.indexOf(problem.file), problem.line ?? 0, problem.column ?? 0];
  return problems.toSorted((one, other) => {
    const [left, right] = [rank(one), rank(other)];
    const at = left.findIndex((value, index) => value !== right[index]);
    return at === -1 ? 0 : (left[at] ?? 0) - (right[at] ?? 0);
  });
}
