import type Database from "better-sqlite3";
import { statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { copyPages, type CopyPace } from "./copy-pages.ts";
import { openDatabase, readNumber, readText } from "./open-database.ts";
import { pollLock } from "./poll-lock.ts";
import { openWriteback } from "./writeback.ts";
import { describeDuration } from "../../base/parse-duration.ts";

/** What is copied, to a file that must not exist, and for how long others may be held up. */
export interface CopyRequest {
  readonly path: string;
  readonly copy: string;
  readonly busyTimeoutMs: number;
  readonly maxHoldMs: number;
  readonly maxDurationMs: number;
}

export interface Snapshot {
  readonly facts: Readonly<Record<string, string | number | boolean>>;
  readonly notes: readonly Note[];
}

type Report = (bytes: number, totalBytes: number) => void;

const walGrowthFloorBytes = 64 * 1024 * 1024;
/** How often other programs may make a copy without a held lock start again before it is given up. */
const maxRestarts = 5;

/**
 * Copies the live database to `request.copy` as of one moment.
 *
 * First under one read transaction, held from the first to the last page: nothing restarts the copy. In WAL mode nobody waits for it
 * (the WAL grows meanwhile, which is recorded); in rollback-journal mode writers do, so the hold ends after `maxHoldMs`. A database
 * that is too large for that is copied in steps of half that time, between which writers get in; every write starts such a copy again,
 * so a database that is written to without pause fails `source-locked`.
 */
export async function takeSnapshot(request: CopyRequest, report: Report): Promise<Snapshot> {
  const startedAt = performance.now();
  const deadlineAt = startedAt + request.maxDurationMs;
  const source = openDatabase(request.path, 0);
  try {
    source.pragma("query_only = on");
    const journalMode = pollLock(request.busyTimeoutMs, () => readText(source, "journal_mode"));
    const walBytesBefore = measureFile(`${request.path}-wal`);
    const way = await copyBounded(source, request, journalMode === "wal", deadlineAt, report);
    const walBytesAfter = measureFile(`${request.path}-wal`);
    const wal = journalMode === "wal" ? { walBytesBefore, walBytesAfter } : {};
    return {
      facts: { journalMode, ...way, ...wal, copyMs: Math.round(performance.now() - startedAt) },
      notes: [...describeWay(way, request), ...describeWalGrowth(walBytesBefore, walBytesAfter, statSync(request.path).size)],
    };
  } finally {
    source.close();
  }
}

interface CopyWay {
  readonly method: "held" | "stepped";
  /** The longest time for which writers had to wait (rollback-journal mode), or the WAL could not be reset (WAL mode). */
  readonly holdMs: number;
  readonly restarts: number;
}

async function copyBounded(
  source: Database.Database,
  request: CopyRequest,
  wal: boolean,
  deadlineAt: number,
  report: Report,
): Promise<CopyWay> {
  const pace: CopyPace = { deadlineAt, maxHoldMs: wal ? undefined : request.maxHoldMs, pagesPerStep: undefined, maxRestarts: 0 };
  const held = await copyHeld(source, request, pace, report);
  if (held.outcome === "copied") return { method: "held", holdMs: held.ms, restarts: 0 };
  await rm(request.copy, { force: true });
  source.pragma(`busy_timeout = ${request.busyTimeoutMs}`);
  const pagesPerStep = Math.max(1, Math.floor(held.pagesPerMs * (request.maxHoldMs / 2)));
  const stepped = await copyPages(source, request.copy, { deadlineAt, maxHoldMs: undefined, pagesPerStep, maxRestarts }, report);
  if (stepped.outcome === "copied") return { method: "stepped", holdMs: stepped.longestStepMs, restarts: stepped.restarts };
  throw new HoldfastError(
    "source-locked",
    `it is written to too often to be copied with writers waiting at most ${describeDuration(request.maxHoldMs)}`,
    {
      hint: "Raise maxHoldMs (and the application's busy timeout), or switch the database to WAL mode, where nobody waits.",
      details: { restarts: stepped.restarts, forecastMs: Math.round(held.forecastMs) },
    },
  );
}

async function copyHeld(source: Database.Database, request: CopyRequest, pace: CopyPace, report: Report) {
  await using _writeback = openWriteback(request.copy);
  source.exec("BEGIN");
  try {
    // A deferred transaction takes its lock with the first read. This one needs page 1 only, so that a damaged schema can still be copied.
    pollLock(request.busyTimeoutMs, () => readNumber(source, "user_version"));
    const startedAt = performance.now();
    const result = await copyPages(source, request.copy, pace, report);
    return { ...result, ms: Math.round(performance.now() - startedAt) };
  } finally {
    source.exec("COMMIT");
  }
}

function describeWay(way: CopyWay, request: CopyRequest): Note[] {
  if (way.method === "held") return [];
  const message = `${request.path} takes longer to copy than maxHoldMs (${request.maxHoldMs} ms), so it was copied in steps; begun again ${way.restarts} times`;
  return [{ level: "info", code: "copied-in-steps", message }];
}

/** Exported for its test: to let a WAL grow that far takes long. */
export function describeWalGrowth(before: number, after: number, databaseBytes: number): Note[] {
  const grown = after - before;
  if (grown <= walGrowthFloorBytes || grown <= databaseBytes / 4) return [];
  const message = `The WAL grew by ${Math.round(grown / 1024 / 1024)} MiB while the database was copied; it shrinks when the application next truncates it`;
  return [{ level: "warning", code: "wal-growth", message }];
}

/** By path, never by opening: closing a descriptor of a file that this process has open through SQLite would drop SQLite's locks. */
function measureFile(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
