import { readdirSync, readFileSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { makeDirectory, syncDirectory, writeFileAtomically } from "../../base/atomic-file.ts";
import { describeCause, HoldfastError, readErrno } from "../../base/errors.ts";

const step = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));

const madeSchema = z.strictObject({
  datastore: z.string(),
  kind: z.string(),
  /** A directory, or a database. */
  place: z.string(),
  bytes: z.number(),
  /** Commands to look into it. */
  access: z.array(z.string()),
  notes: z.array(z.string()),
  /** What removing it undoes on the datastore's server; recorded before each is done. */
  steps: z.array(step),
});

const recordSchema = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  /** `making`: half of it may be there. */
  state: z.enum(["making", "ready", "removing"]),
  job: z.string(),
  backup: z.strictObject({ id: z.string(), name: z.string(), destination: z.string() }),
  createdAtMs: z.number(),
  untilMs: z.number(),
  members: z.array(madeSchema),
});

/** A scratch place: written before anything of it is made, removed after everything of it is gone. */
export type ScratchRecord = z.infer<typeof recordSchema>;
export type ScratchMember = z.infer<typeof madeSchema>;

const idPattern = /^[0-9a-z]{20}$/;
const suffix = ".json";

export function scratchRoot(stateDir: string): string {
  return join(stateDir, "scratch");
}

/** Holds the files of a scratch place. */
export function scratchDir(stateDir: string, id: string): string {
  return join(scratchRoot(stateDir), id);
}

function recordPath(stateDir: string, id: string): string {
  return join(scratchRoot(stateDir), id + suffix);
}

/** Durable when it returns. */
export async function writeScratch(stateDir: string, record: ScratchRecord): Promise<void> {
  await makeDirectory(scratchRoot(stateDir), 0o700);
  await writeFileAtomically(recordPath(stateDir, record.id), `${JSON.stringify(record, null, 2)}\n`, 0o600);
}

/** The last that goes: what it names must be gone. */
export async function removeScratchRecord(stateDir: string, id: string): Promise<void> {
  const root = scratchRoot(stateDir);
  for (const name of await readdir(root)) if (name.startsWith(`.${id}${suffix}.`)) await rm(join(root, name), { force: true });
  await rm(recordPath(stateDir, id), { force: true });
  await syncDirectory(root);
}

/** Undefined when there is none. @throws state-newer, state-corrupt */
export function readScratch(stateDir: string, id: string): ScratchRecord | undefined {
  if (!idPattern.test(id)) return undefined;
  const path = recordPath(stateDir, id);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (readErrno(error) === "ENOENT") return undefined;
    throw error;
  }
  const parsed = recordSchema.safeParse(parseJson(text));
  if (parsed.success && parsed.data.id === id) return parsed.data;
  throw new HoldfastError("state-corrupt", `The record of the scratch place ${id} cannot be read: ${path}`, {
    hint: `What it made is in ${scratchDir(stateDir, id)}, and maybe in a database whose name ends in _scratch_${id}: remove both by hand, then the record.`,
  });
}

export interface FoundScratches {
  /** Oldest first. */
  readonly scratches: readonly ScratchRecord[];
  /** Records that cannot be read, and files that no record names. */
  readonly problems: readonly string[];
}

/** All that are there; few and small. Never throws: what cannot be read is a problem of its own. */
export function listScratches(stateDir: string): FoundScratches {
  let names: readonly string[];
  try {
    names = readdirSync(scratchRoot(stateDir)).toSorted();
  } catch (error) {
    if (readErrno(error) === "ENOENT") return { scratches: [], problems: [] };
    return { scratches: [], problems: [`What restores to scratch places have made cannot be listed: ${describeCause(error)}`] };
  }
  const scratches: ScratchRecord[] = [];
  const problems: string[] = [];
  for (const name of names) {
    const id = name.endsWith(suffix) ? name.slice(0, -suffix.length) : undefined;
    if (id === undefined || !idPattern.test(id)) {
      // Half-written records are named so, and are no trouble.
      if (!name.startsWith(".") && !names.includes(name + suffix))
        problems.push(`${join(scratchRoot(stateDir), name)} is of no scratch place`);
      continue;
    }
    try {
      const record = readScratch(stateDir, id);
      if (record !== undefined) scratches.push(record);
    } catch (error) {
      problems.push(error instanceof HoldfastError ? error.message : `The scratch place ${id} cannot be read: ${describeCause(error)}`);
    }
  }
  return { scratches, problems };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
