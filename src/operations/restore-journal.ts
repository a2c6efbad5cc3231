import { open, readdir, readFile, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { makeDirectory, syncDirectory } from "../base/atomic-file.ts";

const hook = z.object({
  command: z.array(z.string()),
  runAs: z.string().exactOptional(),
  cwd: z.string().exactOptional(),
  env: z.record(z.string(), z.string()).exactOptional(),
  timeoutMs: z.number(),
});

const recordSchema = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("begin"),
    at: z.string(),
    id: z.string(),
    backup: z.string(),
    job: z.string(),
    start: z.array(hook),
    stop: z.array(hook),
  }),
  /** The application is being stopped: from here on it must be started again whatever happens. */
  z.object({ type: z.literal("stopping") }),
  /** About to be done; may or may not have happened. */
  z.object({
    type: z.literal("step"),
    datastore: z.string(),
    kind: z.string(),
    step: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  }),
  /** All is swapped in and healthy: from here on it is only settled, never rolled back. */
  z.object({ type: z.literal("committed") }),
  z.object({ type: z.literal("end"), at: z.string(), outcome: z.enum(["done", "rolled-back", "failed"]), message: z.string() }),
]);

export type RestoreRecord = z.infer<typeof recordSchema>;

/** The state machine of a restore, on disk: planned → stopping → step … → committed → end, or rolled back from any point before `committed`. */
export interface RestoreJournal extends AsyncDisposable {
  /** Durable when it returns. */
  append(record: RestoreRecord): Promise<void>;
}

const journalName = (id: string): string => `${id}.restore.jsonl`;

export async function openRestoreJournal(directory: string, id: string): Promise<RestoreJournal> {
  await makeDirectory(directory, 0o700);
  const file: FileHandle = await open(join(directory, journalName(id)), "a", 0o600);
  await syncDirectory(directory);
  return {
    async append(record) {
      await file.appendFile(`${JSON.stringify(record)}\n`);
      await file.datasync();
    },
    async [Symbol.asyncDispose]() {
      await file.close();
    },
  };
}

export interface UnfinishedRestore {
  readonly id: string;
  readonly records: readonly RestoreRecord[];
}

/** Journals without an end, oldest first. */
export async function findUnfinishedRestores(directory: string): Promise<readonly UnfinishedRestore[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  });
  const found: UnfinishedRestore[] = [];
  for (const name of names.filter((candidate) => candidate.endsWith(".restore.jsonl")).toSorted()) {
    const records = parseJournal(await readFile(join(directory, name), "utf8"));
    if (records.length > 0 && records.at(-1)?.type !== "end") found.push({ id: name.slice(0, -".restore.jsonl".length), records });
  }
  return found;
}

/** A torn last line was never acted upon: its step had not begun. */
function parseJournal(text: string): readonly RestoreRecord[] {
  return text.split("\n").flatMap((line) => {
    try {
      const parsed = recordSchema.safeParse(JSON.parse(line));
      return parsed.success ? [parsed.data] : [];
    } catch {
      return [];
    }
  });
}
