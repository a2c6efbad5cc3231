import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Contents } from "../../src/base/contents.ts";
import type { Note } from "../../src/base/note.ts";
import type {
  CheckResult,
  DatastoreDriver,
  DriverContext,
  DumpFacts,
  RestoreOptions,
  RestoreTarget,
  StoredEntry,
  SwapStep,
} from "../../src/datastores/contract.ts";

export const quiet = new AbortController().signal;

/** A directory of a test's own, removed after it. */
export function makeTestDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "datastore-"));
  chmodSync(directory, 0o755);
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

let contexts = 0;

/** A context with an empty staging directory, as the program makes one for each task; a given one must be there. */
export function makeContext(directory: string, extra: Partial<DriverContext> = {}): DriverContext {
  if (extra.stagingDir !== undefined) return { name: "member", stagingDir: extra.stagingDir, progress: () => undefined, ...extra };
  contexts += 1;
  const stagingDir = join(directory, `staging-${contexts}`);
  mkdirSync(stagingDir, { mode: 0o700 });
  return { name: "member", stagingDir, progress: () => undefined, ...extra };
}

export interface Dumped {
  readonly entries: readonly StoredEntry[];
  readonly facts: DumpFacts;
  readonly notes: readonly Note[];
}

export interface DumpHooks {
  readonly context?: Partial<DriverContext>;
  readonly signal?: AbortSignal;
  /** Has a snapshot made first; called when it has been made. */
  readonly afterSnapshot?: () => Promise<void>;
  /** Called when the first bytes of a streamed body have come. */
  readonly firstBytes?: () => void;
}

/** Dumps as the program does, into memory. */
export async function dumpAll(driver: DatastoreDriver, options: unknown, directory: string, hooks: DumpHooks = {}): Promise<Dumped> {
  const signal = hooks.signal ?? quiet;
  await using datastore = await driver.configure(options).open(makeContext(directory, hooks.context));
  if (hooks.afterSnapshot !== undefined) {
    // Whoever holds the source still gives up that signal when it goes on.
    const held = new AbortController();
    await datastore.snapshot?.(AbortSignal.any([signal, held.signal]));
    held.abort();
    await hooks.afterSnapshot();
  }
  const dump = datastore.dump(signal);
  const entries: StoredEntry[] = [];
  const notes: Note[] = [];
  for (let next = await dump.next(); ; next = await dump.next()) {
    if (next.done === true) return { entries, facts: next.value, notes: [...notes, ...next.value.notes] };
    const { body, finish, ...entry } = next.value;
    const chunks: Uint8Array[] = [];
    if (body.kind === "file") chunks.push(readFileSync(body.path));
    else
      for await (const chunk of body.open(signal)) {
        if (chunks.length === 0) hooks.firstBytes?.();
        chunks.push(Buffer.from(chunk));
      }
    notes.push(...(await finish()));
    entries.push(storeEntry(entry, Buffer.concat(chunks)));
  }
}

/** An entry as it comes back from a destination, in pieces that fit no boundary. */
export function storeEntry(entry: Omit<StoredEntry, "bytes" | "open">, bytes: Buffer, pieceBytes = 100_003): StoredEntry {
  return {
    ...entry,
    bytes: bytes.length,
    async *open() {
      for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
    },
  };
}

export async function readEntry(entry: StoredEntry | undefined): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  if (entry !== undefined) for await (const chunk of entry.open(quiet)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export async function* each<T>(items: readonly T[]): AsyncGenerator<T, void, undefined> {
  yield* items;
}

export async function checkAll(driver: DatastoreDriver, entries: readonly StoredEntry[], directory: string): Promise<CheckResult> {
  return await driver.check(each(entries), makeContext(directory), quiet);
}

export interface Restored {
  readonly staged: Contents;
  readonly found: Contents;
  /** Of a restore of parts, where the driver tells it. */
  readonly expected?: Contents | undefined;
  readonly steps: readonly SwapStep[];
}

export interface RestoreHooks {
  readonly target?: RestoreTarget;
  readonly absent?: boolean;
  readonly parts?: Pick<RestoreOptions, "parts" | "beyond">;
  /** Called in place of making a step durable; throwing stops the swap there. Gets the steps so far, to be added to. */
  readonly record?: (step: SwapStep, steps: SwapStep[]) => void;
  /** Of the stage. */
  readonly signal?: AbortSignal;
}

/** Restores as the program does. */
export async function restoreAll(
  driver: DatastoreDriver,
  options: unknown,
  directory: string,
  entries: readonly StoredEntry[],
  hooks: RestoreHooks = {},
): Promise<Restored> {
  await using datastore = await driver.configure(options).open(makeContext(directory));
  const steps: SwapStep[] = [];
  const record = async (step: SwapStep): Promise<void> => {
    if (hooks.record === undefined) steps.push(step);
    else hooks.record(step, steps);
  };
  const target = hooks.target ?? { kind: "original" };
  const restoring = { absent: hooks.absent ?? false, ...hooks.parts, ...(target.kind === "original" ? { record } : {}) };
  await using session = await datastore.openRestore(target, restoring, quiet);
  await session.inspect(quiet);
  const staged = await session.stage(each(entries), hooks.signal ?? quiet);
  await session.swap(record, quiet);
  const found = await session.summarize(quiet);
  return { staged, found, expected: session.expectedOfParts?.(), steps: JSON.parse(JSON.stringify(steps)) as SwapStep[] };
}

/** What Holdfast has left beside the sources of a test. */
export function listLeftovers(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((path) => path.includes("holdfast"));
}

/** Process ids of this process's children. */
export function listChildren(): readonly number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const [, parent] = readFileSync(`/proc/${name}/stat`, "latin1")
        .replace(/^.*\) /, "")
        .split(" ");
      return Number(parent) === process.pid ? [Number(name)] : [];
    } catch {
      return []; // gone meanwhile
    }
  });
}
