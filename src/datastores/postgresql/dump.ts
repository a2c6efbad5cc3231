import { basename } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { createAbortError, streamProgram, type ProgramOptions } from "../../base/subprocess.ts";
import type { DriverContext, DumpEntry, DumpFacts } from "../contract.ts";
import { explainFailure } from "./classify-error.ts";
import { endConnections } from "./dump-backends.ts";
import { dumpDirectory } from "./dump-directory.ts";
import { fixEntries, type FixedEntry } from "./fixed-snapshot.ts";
import { defaults, type PostgresqlOptions } from "./options.ts";
import { planDump, type DumpPlan, type PlannedEntry } from "./plan-dump.ts";

/** A plan whose entries are fixed already. */
export interface FixedPlan {
  /** Undefined where an optional source was not there. */
  readonly plan: DumpPlan | undefined;
  readonly fixed: ReadonlyMap<PlannedEntry, FixedEntry>;
}

/**
 * Streams what pg_dump writes, one file for each database. What is in it is known from reading it back: `check` counts the rows of the dump
 * itself.
 */
export async function* dumpPostgresql(
  options: PostgresqlOptions,
  context: DriverContext,
  signal: AbortSignal,
  snapshot?: FixedPlan,
): AsyncGenerator<DumpEntry, DumpFacts, undefined> {
  const limit = new AbortController();
  const maxDurationMs = options.maxDuration ?? defaults.maxDurationMs;
  // A dump that nobody ends keeps no process alive.
  const timer = setTimeout(() => limit.abort(createTooLongError(maxDurationMs)), maxDurationMs).unref();
  const limited = AbortSignal.any([signal, limit.signal]);
  try {
    context.progress({ phase: "connecting" });
    const fail = (error: unknown): never => {
      throw explain(error, context, limited);
    };
    const plan = snapshot === undefined ? await planDump(options, limited).catch(fail) : snapshot.plan;
    if (plan === undefined) return { checked: false, notes: [], absent: true };
    const notes: Note[] = [...plan.notes];
    for (const entry of plan.entries) {
      const fixed = snapshot?.fixed.get(entry);
      if (fixed?.kind === "file") yield { ...describeEntry(entry), body: fixed, finish: () => Promise.resolve([]) };
      else yield* openEntry(entry, fixed, { plan, context, notes }, limited);
      // What a transaction keeps, no vacuum can clean.
      if (fixed?.kind === "database") await fixed[Symbol.asyncDispose]();
    }
    return { checked: false, notes, absent: false };
  } finally {
    clearTimeout(timer);
  }
}

/** Plans, and fixes what each entry is to hold. */
export async function fixPlan(
  options: PostgresqlOptions,
  context: DriverContext,
  resources: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<FixedPlan> {
  try {
    context.progress({ phase: "connecting" });
    const plan = await planDump(options, signal);
    return { plan, fixed: plan === undefined ? new Map() : await fixEntries(options, plan, { context, resources }, signal) };
  } catch (error) {
    throw explain(error, context, signal);
  }
}

function describeEntry({ name, form, sourcePath }: PlannedEntry): Pick<DumpEntry, "name" | "form" | "sourcePath"> {
  return { name, form, sourcePath };
}

interface Dump {
  readonly plan: DumpPlan;
  readonly context: DriverContext;
  /** Gets what the tool warns of. */
  readonly notes: Note[];
}

async function* openEntry(
  entry: PlannedEntry,
  fixed: Extract<FixedEntry, { kind: "database" }> | undefined,
  { plan, context, notes }: Dump,
  signal: AbortSignal,
): AsyncGenerator<DumpEntry, void, undefined> {
  const { name, form } = entry;
  const prepare: PlannedEntry["prepare"] = (place) =>
    entry.prepare({ ...place, ...(fixed === undefined ? {} : { snapshot: fixed.snapshot }) });
  const warnings = collectWarnings(name);
  let ended = false;
  async function* open(inner: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const both = AbortSignal.any([signal, inner]);
    let failed = false;
    try {
      if (form === "tree") yield* dumpDirectory({ prepare }, plan.access.identity, context, warnings.add, both);
      else yield* runTool({ prepare }, warnings.add, both);
      ended = true;
    } catch (error) {
      failed = !both.aborted;
      throw explain(error, context, both);
    } finally {
      // A tool that has failed is gone.
      if (!ended && !failed) await endConnections(plan.access, plan.toolset?.path("psql") ?? "psql");
    }
  }
  yield {
    ...describeEntry(entry),
    body: { kind: "stream", open },
    finish() {
      if (!ended) throw new HoldfastError("internal", `Bug: "${name}" of "${context.name}" was not read to its end`);
      return Promise.resolve([]);
    },
  };
  notes.push(...warnings.notes());
}

/** Ends normally only when the tool has exited with 0: the stream alone does not tell a cut dump from a whole one (F34). */
async function* runTool(
  entry: Pick<PlannedEntry, "prepare">,
  onStderrLine: (line: string) => void,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { program, args, options } = entry.prepare();
  const all: ProgramOptions = { ...options, onStderrLine };
  yield* streamProgram(program, args, all, signal);
}

const warningsKept = 20;

/** What pg_dump warns of and goes on, for example foreign keys in a circle. */
function collectWarnings(name: string): { readonly add: (line: string) => void; readonly notes: () => readonly Note[] } {
  const found = new Set<string>();
  return {
    add(line) {
      const [, warning] = /^pg_dump(?:all)?: warning: (.*)$/.exec(line) ?? [];
      if (warning !== undefined && found.size < warningsKept) found.add(warning);
    },
    notes: () => [...found].map((warning) => ({ level: "info", code: "pg-dump-warning", message: `"${name}": ${warning}` })),
  };
}

function createTooLongError(limitMs: number): HoldfastError {
  return new HoldfastError("timeout", `it was not done within ${limitMs / 1000} s`, {
    hint: "Raise maxDuration, leave tables out (excludeTableData), or run it when the server has less to do.",
  });
}

function explain(error: unknown, context: DriverContext, signal: AbortSignal): unknown {
  const cause = signal.aborted ? createAbortError(signal, "The dump was stopped") : error;
  return explainFailure(`Cannot dump "${context.name}"`, cause instanceof HoldfastError ? shortenProgram(cause) : cause);
}

/** `pg_dump exited with 1`, wherever it is installed. */
function shortenProgram(error: HoldfastError): HoldfastError {
  const [path] = /^\/\S*\/pg_\w+(?= )/.exec(error.message) ?? [];
  if (path === undefined) return error;
  const { hint, details } = error;
  return new HoldfastError(error.code, `${basename(path)}${error.message.slice(path.length)}`, {
    cause: error,
    retryable: error.retryable,
    ...(hint === undefined ? {} : { hint }),
    ...(details === undefined ? {} : { details }),
  });
}
