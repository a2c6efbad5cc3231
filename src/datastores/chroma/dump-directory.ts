import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Contents } from "../../base/contents.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { prefixError } from "../../base/prefix-error.ts";
import type { DriverContext, DumpEntry, DumpFacts, ProbeFacts } from "../contract.ts";
import { dumpTree, lookAtTree } from "../trees/dump-tree.ts";
import { TreeSummary } from "../trees/tree-summary.ts";
import { copySource } from "./copy-source.ts";
import { type DataDirectory, openDataDirectory } from "./data-directory.ts";
import { assertWhole, describeContents, describeProof, examineCopy } from "./examine-copy.ts";
import { type DirectoryOptions, findData } from "./source.ts";
import { createPrivateName, findServerProgram, noProgramNote } from "./scratch-server.ts";

const treeRules = { exclude: [], oneFileSystem: true, optional: false, allowEmpty: false };

export async function probeDirectory(options: DirectoryOptions, signal: AbortSignal): Promise<ProbeFacts> {
  const source = await findSource(options, signal);
  if (source === undefined) return { summary: "no directory", estimatedBytes: 0, stagingBytes: 0, absent: true, notes: [] };
  const survey = await lookAtTree(source.root, treeRules, signal);
  const program = findServerProgram(options);
  // The copy, and the one that a private server queries.
  const copies = program === undefined ? 1 : 2;
  return {
    summary: `Chroma directory, ${describeBytes(survey?.fileBytes ?? 0)}`,
    estimatedBytes: survey?.tarBytes ?? 0,
    stagingBytes: copies * (survey?.fileBytes ?? 0),
    device: survey?.device ?? 0,
    absent: false,
    notes: program === undefined ? [noProgramNote] : [],
  };
}

async function findSource(options: DirectoryOptions, signal: AbortSignal): Promise<DataDirectory | undefined> {
  const found = await findData(options, signal);
  return found === undefined ? undefined : await openDataDirectory(found.path, options);
}

/** The copy of a data directory that a dump hands over. Closing removes it. */
export class DirectorySnapshot implements AsyncDisposable {
  readonly root: string | undefined;
  readonly copy: string;
  readonly notes: readonly Note[];

  constructor(found: { readonly root: string | undefined; readonly copy: string; readonly notes: readonly Note[] }) {
    this.root = found.root;
    this.copy = found.copy;
    this.notes = found.notes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.copy, { recursive: true, force: true, maxRetries: 3 });
  }
}

export async function takeDirectorySnapshot(
  options: DirectoryOptions,
  context: DriverContext,
  signal: AbortSignal,
): Promise<DirectorySnapshot> {
  const copy = join(context.stagingDir, createPrivateName("chroma"));
  try {
    const source = await findSource(options, signal);
    if (source === undefined) return new DirectorySnapshot({ root: undefined, copy, notes: [] });
    context.progress({ phase: "copying" });
    const notes = await copySource(source, copy, { ...context, copying: context.copying ?? "live" }, signal);
    return new DirectorySnapshot({ root: source.root, copy, notes });
  } catch (error) {
    await rm(copy, { recursive: true, force: true });
    throw prefixError(`Cannot dump "${context.name}"`, error);
  }
}

/** Proves the copy and hands it over. */
export async function* dumpDirectory(
  snapshot: DirectorySnapshot,
  options: DirectoryOptions,
  context: DriverContext,
  signal: AbortSignal,
): AsyncGenerator<DumpEntry, DumpFacts, undefined> {
  const { root, copy } = snapshot;
  if (root === undefined) return { checked: false, notes: [], absent: true };
  const { contents, notes } = await proveCopy(snapshot, options, context, signal);
  const dump = dumpTree({ root: copy, options: { ...treeRules, entry: options.entry }, context }, signal);
  let tree: Contents | undefined;
  let next = await dump.next();
  try {
    for (; next.done !== true; next = await dump.next()) {
      const { body } = next.value;
      if (body.kind !== "stream") throw new HoldfastError("internal", "Bug: a tree is no stream");
      async function* open(inner: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
        if (body.kind !== "stream") return;
        using summary = new TreeSummary();
        for await (const chunk of body.open(inner)) {
          summary.reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
          yield chunk;
        }
        tree = summary.finish();
      }
      yield { ...next.value, body: { kind: "stream", open }, sourcePath: root };
    }
  } finally {
    if (next.done !== true) await dump.return({ checked: false, notes: [], absent: false });
  }
  // That there is a database in it is what it is about.
  const told = next.value.notes.filter(({ code }) => code !== "live-sqlite");
  return {
    ...(tree === undefined ? {} : { contents: joinContents(tree, contents) }),
    checked: false,
    notes: [...snapshot.notes, ...notes, ...told],
    absent: false,
  };
}

async function proveCopy(
  { copy }: DirectorySnapshot,
  options: DirectoryOptions,
  context: DriverContext,
  signal: AbortSignal,
): Promise<{ readonly contents: Contents; readonly notes: readonly Note[] }> {
  context.progress({ phase: "querying the copy" });
  const { samples, url, token, headers } = options;
  const source = url === undefined ? undefined : { url, token, headers };
  try {
    const examined = await examineCopy({ root: copy, stagingDir: context.stagingDir, samples, options, source }, signal);
    assertWhole(examined, "source-corrupt", hints[context.copying ?? "live"]);
    if (examined.examination.collections.length === 0 && !options.allowEmpty && !options.optional)
      throw new HoldfastError("source-empty", "there are no collections", { hint: "Set `allowEmpty: true` where that is normal." });
    return { contents: describeContents(examined, samples), notes: describeProof(examined) };
  } catch (error) {
    throw prefixError(`Cannot dump "${context.name}"`, error, { "restore-failed": "tool-failed" });
  }
}

const repair = "the collection may have to be made again from its documents.";
const hints = {
  live: `Run it again; if it repeats, back it up with \`copy: stopped\`. If it fails then, too, the index is damaged at its source: ${repair}`,
  paused: `Back it up with \`copy: stopped\`. If it fails then, too, the index is damaged at its source: ${repair}`,
  stopped: `The index is damaged at its source: ${repair}`,
};

export function joinContents(tree: Contents, data: Contents): Contents {
  return {
    counts: { ...tree.counts, ...data.counts },
    digests: { ...tree.digests, ...data.digests },
    facts: { ...tree.facts, ...data.facts },
  };
}
