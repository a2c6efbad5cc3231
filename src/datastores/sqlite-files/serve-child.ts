import Database from "better-sqlite3";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { type ErrorReport, reportError } from "../../base/errors.ts";
import type { Identity } from "../../base/identity.ts";
import { classifySqliteError } from "./classify-error.ts";
import { becomeIdentity } from "./identity-change.ts";
import { requireSafeSqlite } from "./require-safe-sqlite.ts";

/** The one line that a child reads from its standard input; the end of that input ends the child. */
export interface ChildRequest<Operation> {
  readonly operation: Operation;
  /** Who to become after the modules are loaded; absent: stay. */
  readonly identity: Identity | null;
}

/** One line of a child's standard output. */
export type ChildMessage =
  | { readonly type: "progress"; readonly phase: string; readonly bytes: number; readonly totalBytes: number }
  | { readonly type: "done"; readonly result: unknown }
  | { readonly type: "failed"; readonly error: ErrorReport };

/** Tells how far the work has come, in a phase. */
export type ChildReport = (phase: string) => (bytes: number, totalBytes: number) => void;

/**
 * The program that opens databases: a process of its own, because SQLite's calls block, because it acts as the owner of the database, and
 * because a process that has a database open must touch its file by no other means. It reads one request, writes messages, and
 * ends with its standard input: that is how it notices the death of its parent after a change of user.
 */
export async function serveChild(perform: (operation: unknown, report: ChildReport) => Promise<unknown>): Promise<void> {
  const reportEveryMs = 200;
  let reportedAt = 0;
  const report = (phase: string) => (bytes: number, totalBytes: number) => {
    const now = performance.now();
    if (now - reportedAt < reportEveryMs && bytes < totalBytes) return;
    reportedAt = now;
    send({ type: "progress", phase, bytes, totalBytes });
  };
  process.stdin.once("end", () => process.exit(1));
  const [line] = (await once(createInterface({ input: process.stdin }), "line")) as [string];
  try {
    const request = JSON.parse(line) as ChildRequest<unknown>;
    requireSafeSqlite(readBundledVersion());
    // Everything is loaded now: the new user need not be able to read the program's own files.
    if (request.identity !== null) becomeIdentity(request.identity);
    finish({ type: "done", result: await perform(request.operation, report) });
  } catch (error) {
    finish({ type: "failed", error: reportError(classifySqliteError(error)) });
  }
}

function readBundledVersion(): string {
  const database = new Database(":memory:");
  try {
    return String(database.prepare("select sqlite_version()").pluck().get());
  } finally {
    database.close();
  }
}

function send(message: ChildMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function finish(message: ChildMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`, () => process.exit(0));
}
