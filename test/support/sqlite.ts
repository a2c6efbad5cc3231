import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { createReadStream, renameSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { compareContents, type Contents } from "../../src/base/contents.ts";
import type {
  Datastore,
  DriverContext,
  DumpEntry,
  DumpFacts,
  RestoreTarget,
  StoredEntry,
  SwapStep,
} from "../../src/datastores/contract.ts";
import { sqliteDriver } from "../../src/datastores/sqlite/sqlite.ts";

export const noSignal = new AbortController().signal;

export interface Place extends AsyncDisposable {
  readonly dir: string;
  readonly context: DriverContext;
}

/** A directory for a test's databases and one for staging, as the program has it: closed to others. */
export async function makePlace(parent = tmpdir()): Promise<Place> {
  const dir = await mkdtemp(join(parent, "sqlite-"));
  await chmod(dir, 0o755);
  const stagingDir = join(dir, "staging", "task", "member");
  await mkdir(stagingDir, { recursive: true, mode: 0o700 });
  return {
    dir,
    context: { name: "memory", stagingDir, progress: () => undefined },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

/** Runs SQL in a database that nobody else has open. */
export function execute(path: string, sql: string): void {
  const database = new Database(path);
  try {
    database.exec(sql);
  } finally {
    database.close();
  }
}

export function query(path: string, sql: string): unknown {
  const database = new Database(path);
  try {
    return database.prepare(sql).pluck().get();
  } finally {
    database.close();
  }
}

export interface Program extends AsyncDisposable {
  readonly pid: number;
  readonly child: ChildProcess;
  /** Sends a line and gives the last line that the program says before it ends. */
  stop(line?: string): Promise<string>;
}

/** Starts one of the fixtures and waits until it says that it is ready (or ends). */
export async function startProgram(
  name: string,
  args: readonly string[],
  ids: { readonly uid?: number; readonly gid?: number } = {},
): Promise<Program> {
  const script = new URL(`../fixtures/programs/${name}`, import.meta.url).pathname;
  const child = spawn(process.execPath, [script, ...args], { stdio: ["pipe", "pipe", "inherit"], ...ids });
  let last = "";
  const ended = once(child, "close");
  await new Promise<void>((resolve) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      last = line;
      resolve();
    });
    child.once("close", () => resolve());
  });
  return {
    pid: child.pid ?? 0,
    child,
    async stop(line) {
      if (line === undefined) child.stdin.end();
      else child.stdin.write(`${line}\n`);
      await ended;
      return last;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

export async function openSqlite(options: Readonly<Record<string, unknown>>, context: DriverContext): Promise<Datastore> {
  return sqliteDriver.configure(options).open(context);
}

export interface Dumped {
  readonly entries: readonly DumpEntry[];
  readonly facts: DumpFacts;
}

/** Dumps, and keeps each staged file under another name before the dump goes on and removes it. */
export async function dump(options: Readonly<Record<string, unknown>>, context: DriverContext, signal = noSignal): Promise<Dumped> {
  await using datastore = await openSqlite(options, context);
  const generator = datastore.dump(signal);
  const entries: DumpEntry[] = [];
  for (;;) {
    const next = await generator.next();
    if (next.done === true) return { entries, facts: next.value };
    entries.push(keepStaged(next.value));
    await next.value.finish();
  }
}

function keepStaged(entry: DumpEntry): DumpEntry {
  const { body } = entry;
  if (body.kind !== "file") return entry;
  const path = `${body.path}.kept`;
  renameSync(body.path, path);
  return { ...entry, body: { ...body, path } };
}

export function pathOf(dumped: Dumped): string {
  const body = dumped.entries[0]?.body;
  if (body?.kind !== "file") throw new Error("no staged file");
  return body.path;
}

/** The dump's entries as they come back from a backup, in chunks of any size. */
export async function* asStored(dumped: Dumped, chunkBytes = 65_536): AsyncGenerator<StoredEntry> {
  for (const { name, form, sourcePath, attributes, body } of dumped.entries) {
    if (body.kind !== "file") throw new Error("not staged");
    const open = () => createReadStream(body.path, { highWaterMark: chunkBytes });
    const { contents } = dumped.facts;
    const known = { ...(attributes === undefined ? {} : { attributes }), ...(contents === undefined ? {} : { contents }) };
    yield { name, form, sourcePath, bytes: body.bytes, open, ...known };
  }
}

/** Records steps as a journal would: through JSON. */
export function recordInto(steps: SwapStep[]): (step: SwapStep) => Promise<void> {
  return async (step) => {
    steps.push(JSON.parse(JSON.stringify(step)) as SwapStep);
  };
}

export function contentsOf(dumped: Dumped): Contents {
  assert.ok(dumped.facts.contents !== undefined);
  return dumped.facts.contents;
}

/** Restores as the program does, and compares the contents at every look. */
export async function restore(
  place: Place,
  path: string,
  dumped: Dumped,
  target: RestoreTarget = { kind: "original" },
  steps: SwapStep[] = [],
): Promise<SwapStep[]> {
  await using datastore = await openSqlite({ path, busyTimeoutMs: 1_000 }, place.context);
  await using session = await datastore.openRestore(target, { absent: dumped.facts.absent }, noSignal);
  const staged = await session.stage(asStored(dumped), noSignal);
  if (!dumped.facts.absent) assert.deepEqual(compareContents(contentsOf(dumped), staged), []);
  await session.swap(recordInto(steps), noSignal);
  if (!dumped.facts.absent) assert.deepEqual(compareContents(contentsOf(dumped), await session.summarize(noSignal)), []);
  return steps;
}

/** What stands beside the database, ours included. */
export async function listBeside(place: Place): Promise<string[]> {
  return (await readdir(place.dir)).filter((name) => name !== "staging").sort();
}
