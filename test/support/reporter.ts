import { openSync, writeSync } from "node:fs";
import { resolve } from "node:path";
import { type EventData } from "node:test";
import { type TestEvent } from "node:test/reporters";
import { inspect } from "node:util";
import { type Outcome, type ResultRecord, shortenPath } from "./test-results.ts";

/** A reporter of node:test: prints failures and skips only, and writes every result to the file that HOLDFAST_TEST_RESULTS names. */
export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string, void> {
  const files = new Map<string, FileProgress>();
  const progress = (path: string | undefined): FileProgress => {
    const file = resolve(path ?? ".");
    const known = files.get(file) ?? { file, titles: [], output: "", tests: 0, failed: false };
    files.set(file, known);
    return known;
  };
  for await (const event of events) {
    switch (event.type) {
      case "test:enqueue":
        if (isFile(event.data)) record({ kind: "started", file: progress(event.data.file).file });
        break;
      case "test:start":
        progress(event.data.file).titles.splice(event.data.nesting, Infinity, event.data.name);
        break;
      case "test:pass":
      case "test:fail":
        yield* settle(progress(event.data.file), event);
        break;
      case "test:complete":
        record({ kind: isFile(event.data) ? "finished" : "progressed", file: progress(event.data.file).file });
        break;
      case "test:stdout":
      case "test:stderr":
        hear(progress(event.data.file), event.data.message);
        break;
      default:
    }
  }
  for (const { file, failed, output } of files.values()) {
    if (failed && output !== "") yield `  output of ${shortenPath(process.cwd(), file)}:\n${indent(output.slice(-maximumOutput))}\n`;
  }
}

const maximumOutput = 8_000;
const maximumErrorLines = 60;

interface FileProgress {
  readonly file: string;
  /** The tests that are open now, outermost first. */
  readonly titles: string[];
  output: string;
  tests: number;
  failed: boolean;
}

const sink = process.env["HOLDFAST_TEST_RESULTS"] === undefined ? undefined : openSync(process.env["HOLDFAST_TEST_RESULTS"], "a");

function record(entry: ResultRecord): void {
  if (sink !== undefined) writeSync(sink, `${JSON.stringify(entry)}\n`);
}

function* settle(progress: FileProgress, event: Extract<TestEvent, { type: "test:pass" | "test:fail" }>): Generator<string> {
  const { data } = event;
  // A parent that failed only because its children did says nothing new; a suite that passed is no test.
  if (event.type === "test:fail" && readFailureType(event.data) === "subtestsFailed") return;
  if (event.type === "test:pass" && data.details.type === "suite" && data.skip === undefined) return;
  const whole = isFile(data);
  const empty = whole && event.type === "test:pass";
  const outcome: Outcome = empty
    ? "failed"
    : data.skip !== undefined || data.todo !== undefined
      ? "skipped"
      : event.type === "test:pass"
        ? "passed"
        : "failed";
  const titles = whole
    ? [empty ? "the file holds no test" : "the file did not run to its end"]
    : [...progress.titles.slice(0, data.nesting), data.name];
  const line = data.line ?? 1;
  record({ kind: "test", file: progress.file, line, titles, outcome });
  const place = `${shortenPath(process.cwd(), progress.file)}:${line}  ${titles.join(" › ")}`;
  if (outcome === "skipped") yield `  skipped ${place}\n`;
  if (outcome !== "failed") return;
  progress.failed = true;
  yield `  FAILED  ${place}\n${event.type === "test:fail" ? indent(describeFailure(event.data)) : ""}`;
}

/** The runner reports a file itself, beside its tests, as a test named by its path. */
function isFile(data: { readonly name: string; readonly nesting: number; readonly file?: string | undefined }): boolean {
  return data.nesting === 0 && data.file !== undefined && resolve(data.name) === resolve(data.file);
}

function hear(progress: FileProgress, message: string): void {
  progress.output += message;
  if (/^\(node:\d+\) |^\w*Warning: /.test(message)) record({ kind: "warning", file: progress.file, text: message.trim() });
}

function readFailureType(data: EventData.TestFail): unknown {
  const { error } = data.details;
  return "failureType" in error ? error.failureType : undefined;
}

function describeFailure(data: EventData.TestFail): string {
  const text = inspect(data.details.error.cause ?? data.details.error, { depth: 4 });
  const lines = text.split("\n").filter((line) => !/\(?node:(internal|async_hooks)/.test(line));
  return lines.length > maximumErrorLines ? [...lines.slice(0, maximumErrorLines), "…"].join("\n") : lines.join("\n");
}

function indent(text: string): string {
  return text.replace(/\n?$/, "\n").replaceAll(/^(?=.)/gm, "    ");
}
