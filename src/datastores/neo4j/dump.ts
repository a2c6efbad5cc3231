import { mkdir, readdir, stat } from "node:fs/promises";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import type { Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { DriverContext, DumpEntry, DumpFacts } from "../contract.ts";
import { dumpTree } from "../trees/dump-tree.ts";
import { TreeSummary } from "../trees/tree-summary.ts";
import { runAdmin, type Admin } from "./admin.ts";
import { copyStore, removeCopies } from "./copy-store.ts";
import { readDump, type DumpFormat } from "./dump-format.ts";
import type { Neo4jOptions } from "./options.ts";
import { joinContents, proveCopy } from "./prove-copy.ts";
import { findHome, prepareWorkplace, readToolVersion, requireHome } from "./tools.ts";

/** What a snapshot has copied, and where from. */
export interface Copy {
  readonly path: string;
  readonly data: string;
}

export interface DumpTask {
  readonly options: Neo4jOptions;
  readonly context: DriverContext;
  readonly what: string;
  readonly notes: readonly Note[];
}

type Dump = AsyncGenerator<DumpEntry, DumpFacts, undefined>;

function createAdmin({ options, context }: DumpTask, home: string, data: string): Admin {
  return { options, home, place: { directory: join(context.stagingDir, "work"), data } };
}

const describeDump = ({ files, bytes }: DumpFormat): Contents => ({
  counts: { dumpFiles: files, dumpBytes: bytes },
  digests: {},
  facts: {},
});

/** Proves the copy, then has neo4j-admin make its archive, whose bytes are read to their end before they are handed over. */
export async function* dumpDatabase(task: DumpTask, copy: Copy, signal: AbortSignal): Dump {
  const { options, context, what } = task;
  const admin = createAdmin(task, requireHome(options), copy.path);
  const progress = (phase: string): void => context.progress({ phase });
  const graph = await proveCopy(admin, { what, progress }, signal);
  progress("dumping");
  const out = join(admin.place.directory, "out");
  await mkdir(out, { mode: 0o700 });
  await runAdmin(admin, ["database", "dump", options.database, `--to-path=${out}`], what, signal);
  const path = join(out, `${options.database}.dump`);
  const format = await readDump(createReadStream(path), path);
  const { bytes } = await readSize(path);
  yield {
    name: `${options.entry}.dump`,
    form: "file",
    body: { kind: "file", path, bytes },
    sourcePath: join(copy.data, "databases", options.database),
    finish: () => Promise.resolve([]),
  };
  return {
    contents: joinContents(graph, joinContents(describeDump(format), describeTool(admin))),
    checked: true,
    notes: task.notes,
    absent: false,
  };
}

async function readSize(path: string): Promise<{ readonly bytes: number }> {
  return { bytes: (await stat(path)).size };
}

const describeTool = ({ home }: Admin): Contents => ({ counts: {}, digests: {}, facts: { neo4j: readToolVersion(home) } });

/** The copy as it is, as a tar; what is proven is a copy of the copy, because a server changes what it starts on. */
export async function* dumpArchive(task: DumpTask, copy: Copy, signal: AbortSignal): Dump {
  const { options, context, what } = task;
  const home = options.prove === "graph" ? findHome(options) : undefined;
  const graph = home === undefined ? undefined : await proveBeside(task, home, copy, signal);
  const tree = { exclude: [], oneFileSystem: true, optional: false, allowEmpty: false, entry: options.entry };
  const dump = dumpTree({ root: copy.path, options: tree, context }, signal);
  let contents: Contents | undefined;
  let step = await dump.next();
  for (; step.done !== true; step = await dump.next()) {
    const { body, ...entry } = step.value;
    if (body.kind !== "stream") throw new HoldfastError("internal", "A tree is a stream");
    const open = async function* (inner: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
      using summary = new TreeSummary();
      for await (const chunk of body.open(inner)) {
        summary.reader.push(chunk);
        yield chunk;
      }
      contents = summary.finish();
    };
    yield { ...entry, body: { kind: "stream", open }, sourcePath: copy.data };
  }
  if (contents === undefined) throw createAbortError(signal, `${what} was stopped`);
  const notes = [...step.value.notes, ...task.notes];
  if (graph === undefined) return { ...step.value, notes };
  return { contents: joinContents(contents, graph), checked: true, notes, absent: false };
}

async function proveBeside(task: DumpTask, home: string, copy: Copy, signal: AbortSignal): Promise<Contents> {
  const { options, context, what } = task;
  const admin = createAdmin(task, home, join(context.stagingDir, "work", "data"));
  await mkdir(admin.place.data, { recursive: true, mode: 0o700 });
  await copyStore(copy.path, admin.place.data, options.database, what, signal);
  const graph = await proveCopy(admin, { what, progress: (phase) => context.progress({ phase }) }, signal);
  await removeCopies([admin.place.directory]);
  return joinContents(graph, describeTool(admin));
}

/** Enterprise only: the tool connects to the running server. The artefact is what `database load` and `database restore` take. */
export async function* dumpOnline(task: DumpTask, source: string, signal: AbortSignal): Dump {
  const { options, context, what } = task;
  const home = requireHome(options);
  const data = join(context.stagingDir, "work", "data");
  const admin = createAdmin(task, home, data);
  await mkdir(admin.place.directory, { mode: 0o700 });
  await prepareWorkplace(options, admin.place);
  context.progress({ phase: "backing up" });
  const out = join(context.stagingDir, "online");
  await mkdir(out, { mode: 0o700 });
  await runAdmin(
    admin,
    ["database", "backup", options.database, "--type=FULL", `--from=${options.from}`, `--to-path=${out}`],
    what,
    signal,
  );
  const [name, ...others] = (await readdir(out)).filter((each) => each.endsWith(".backup"));
  if (name === undefined || others.length > 0)
    throw new HoldfastError("tool-failed", `${what}: neo4j-admin made ${others.length + (name === undefined ? 0 : 1)} files`);
  const path = join(out, name);
  const { bytes } = await readSize(path);
  yield {
    name: `${options.entry}.backup`,
    form: "file",
    body: { kind: "file", path, bytes },
    sourcePath: join(source, "databases", options.database),
    finish: () => Promise.resolve([]),
  };
  return { checked: false, notes: task.notes, absent: false };
}
