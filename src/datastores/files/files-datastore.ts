import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { describeBytes } from "../../base/describe-amount.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Datastore, DriverContext, ProbeFacts, RestoreOptions, RestoreSession, RestoreTarget } from "../contract.ts";
import { defineDatastore } from "../define-datastore.ts";
import { checkEntries } from "./check-entries.ts";
import { copiedAtMostBytes, dumpLooseFiles, type LooseDump, lookForFiles } from "./dump-loose-files.ts";
import { dumpLooseSnapshot, type LooseSnapshot, snapshotLooseFiles } from "./snapshot-loose-files.ts";
import { dumpTree, lookAtTree } from "../trees/dump-tree.ts";
import { dumpTreeSnapshot, snapshotTree, type TreeSnapshot } from "../trees/stage-tree.ts";
import { findBase, findFixedDirectory, findLooseFiles, listPatterns, namesFile } from "./find-loose-files.ts";
import { findDirectory, identifyDirectory, listKnownPaths } from "../volume.ts";
import { escapeGlob, isGlob, unescapeGlob } from "../../base/glob.ts";
import { type FilesOptions, filesOptions, isTree, type LooseOptions, type TreeOptions } from "./options.ts";
import { selectPaths, type PathSelection } from "../../base/path-selection.ts";
import { PathsRestore } from "./restore-paths.ts";
import { LooseRestore } from "./restore-loose-files.ts";
import { resolvePath } from "../trees/resolve-path.ts";
import { TreeRestore } from "../trees/restore-tree.ts";
import { refuseHostileTree } from "../trees/check-tree.ts";
import { selectInTree } from "../trees/select-in-tree.ts";
import { rollBackSteps, settleSteps } from "../trees/swap-steps.ts";

export const filesDatastore = defineDatastore<FilesOptions>({
  kind: "files",
  description: "Single files by path and glob (`include`), or a directory as one tree (`root`).",
  options: filesOptions,
  parts: "paths",
  sourcePaths: listSourcePaths,
  identify: async (options, signal) => {
    if (isTree(options)) {
      const { name, paths } = await identifyDirectory(options.root, signal);
      return { id: `files:${name}`, paths };
    }
    const paths = [...new Set(listSourcePaths(options).map(resolvePath))].sort();
    return { id: `files:${paths.join(":")}`, paths };
  },
  open: (options, context) => Promise.resolve(isTree(options) ? new TreeDatastore(options, context) : new LooseDatastore(options, context)),
  deriveOptions(entries) {
    const [first] = entries;
    if (first === undefined)
      throw new HoldfastError("config-missing", "Cannot tell where an empty backup came from", {
        hint: "Give the config of the datastore.",
      });
    if (first.form === "tree") return { root: first.sourcePath, entry: basename(first.name, ".tar") };
    return {
      base: first.sourcePath.slice(0, -first.name.length - 1) || "/",
      include: entries.map(({ sourcePath }) => escapeGlob(sourcePath)),
      optional: true,
    };
  },
  check: checkEntries,
  refuseHostileTree,
  selectInTree,
  rollBack: rollBackSteps,
  settle: settleSteps,
});

function listSourcePaths(options: FilesOptions): readonly string[] {
  if (isTree(options)) return listKnownPaths(options.root);
  return [...new Set(listPatterns(options).map(({ path }) => (isGlob(path) ? findFixedDirectory(path) : join(unescapeGlob(path), "."))))];
}

function selectParts(target: RestoreTarget, { parts }: RestoreOptions, root: string): PathSelection | undefined {
  if (parts === undefined) return undefined;
  if (target.kind !== "original") throw new HoldfastError("usage", "single paths can only be restored to where they belong");
  return selectPaths(parts, root);
}

class TreeDatastore implements Datastore {
  readonly #options: TreeOptions;
  readonly #context: DriverContext;
  readonly #resources = new AsyncDisposableStack();
  #snapshot: TreeSnapshot | undefined;

  constructor(options: TreeOptions, context: DriverContext) {
    this.#options = options;
    this.#context = context;
  }

  async probe(signal: AbortSignal): Promise<ProbeFacts> {
    const root = await this.#findRoot(signal);
    const survey = root === undefined ? undefined : await lookAtTree(root, this.#options, signal);
    if (survey === undefined) return { summary: "no directory", estimatedBytes: 0, stagingBytes: 0, absent: true, notes: [] };
    const summary = `directory with ${survey.entries} entries, ${describeBytes(survey.fileBytes)}`;
    const { tarBytes, device, notes } = survey;
    return { summary, estimatedBytes: tarBytes, stagingBytes: 0, snapshotBytes: tarBytes, device, absent: false, notes };
  }

  async snapshot(signal: AbortSignal): Promise<void> {
    const staged = (path: string): void => this.#resources.defer(() => rm(path, { force: true }));
    const root = await this.#findRoot(signal);
    if (root !== undefined) this.#snapshot = await snapshotTree({ root, options: this.#options, context: this.#context }, staged, signal);
  }

  async *dump(signal: AbortSignal): ReturnType<Datastore["dump"]> {
    if (this.#snapshot !== undefined) return yield* dumpTreeSnapshot(this.#snapshot);
    const root = await this.#findRoot(signal);
    if (root === undefined) return { checked: false, notes: [], absent: true };
    return yield* dumpTree({ root, options: this.#options, context: this.#context }, signal);
  }

  /** Undefined for an optional volume that is not there. */
  async #findRoot(signal: AbortSignal): Promise<string | undefined> {
    try {
      return (await findDirectory(this.#options.root, signal)).path;
    } catch (error) {
      if (this.#options.optional && error instanceof HoldfastError && error.code === "source-missing") return undefined;
      throw error;
    }
  }

  async openRestore(target: RestoreTarget, restoring: RestoreOptions, signal: AbortSignal): Promise<RestoreSession> {
    // Elsewhere the place itself need not be there.
    const below = target.kind !== "original";
    const { path: root, root: moves } = below
      ? { path: resolvePath(target.path), root: "may-move" }
      : await findDirectory(this.#options.root, signal);
    const { exclude, oneFileSystem } = this.#options;
    // What comes from elsewhere gets no rights that its own config did not ask for.
    const { devices, setId } = restoring.foreign === true ? { devices: false, setId: false } : this.#options;
    const tree = {
      root,
      below,
      ...(moves === "stays" ? { keeps: "root" as const } : {}),
      exclude: below ? [] : exclude,
      oneFileSystem,
      special: { devices, setId },
      stagingDir: this.#context.stagingDir,
      progress: this.#context.progress,
    };
    const selection = selectParts(target, restoring, root);
    return selection === undefined ? new TreeRestore(tree, restoring) : new PathsRestore(tree, selection, restoring);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}

class LooseDatastore implements Datastore {
  readonly #options: LooseOptions;
  readonly #context: DriverContext;
  readonly #resources = new AsyncDisposableStack();
  #snapshot: LooseSnapshot | undefined;

  constructor(options: LooseOptions, context: DriverContext) {
    this.#options = options;
    this.#context = context;
  }

  probe(_signal: AbortSignal): Promise<ProbeFacts> {
    const { files, notes } = lookForFiles(this.#options);
    const bytes = files.reduce((total, { stat }) => total + Number(stat.size), 0);
    const staged = files.reduce((total, { stat }) => total + (Number(stat.size) <= copiedAtMostBytes ? Number(stat.size) : 0), 0);
    const [first] = files;
    return Promise.resolve({
      summary: files.length === 0 ? "no files" : `${files.length} files, ${describeBytes(bytes)}`,
      estimatedBytes: bytes,
      stagingBytes: staged,
      snapshotBytes: bytes,
      ...(first === undefined ? {} : { device: Number(first.stat.dev) }),
      absent: files.length === 0 && !this.#options.allowEmpty,
      notes,
    });
  }

  async snapshot(signal: AbortSignal): Promise<void> {
    this.#snapshot = await snapshotLooseFiles(this.#describeDump("all"), signal);
  }

  dump(signal: AbortSignal): ReturnType<Datastore["dump"]> {
    return this.#snapshot === undefined ? dumpLooseFiles(this.#describeDump("small"), signal) : dumpLooseSnapshot(this.#snapshot);
  }

  #describeDump(copied: LooseDump["copied"]): LooseDump {
    const staged = (path: string): void => this.#resources.defer(() => rm(path, { force: true }));
    return { options: this.#options, context: this.#context, resources: this.#resources, staged, copied };
  }

  openRestore(target: RestoreTarget, restoring: RestoreOptions): Promise<LooseRestore> {
    if (target.kind !== "original")
      return Promise.resolve(
        new LooseRestore({ base: resolvePath(target.path), list: () => [], setId: false, isNamed: () => false }, restoring),
      );
    const list = (): readonly string[] => findLooseFiles(this.#options).files.map(({ name }) => name);
    const base = resolvePath(findBase(this.#options));
    const named = new Set(listPatterns(this.#options).flatMap(({ path }) => (isGlob(path) ? [] : [join(unescapeGlob(path), ".")])));
    const isNamed = (name: string): boolean => named.has(join(findBase(this.#options), name));
    const foreign = restoring.foreign === true ? { names: (name: string) => namesFile(this.#options, name) } : {};
    const selection = selectParts(target, restoring, base);
    return Promise.resolve(new LooseRestore({ base, list, setId: false, isNamed, ...foreign }, restoring, selection));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }
}
