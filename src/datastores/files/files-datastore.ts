import { realpathSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { describeBytes } from "../../base/describe-amount.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import type { Datastore, DriverContext, ProbeFacts, RestoreOptions, RestoreSession, RestoreTarget } from "../contract.ts";
import { defineDatastore } from "../define-datastore.ts";
import { checkEntries } from "./check-entries.ts";
import { copiedAtMostBytes, dumpLooseFiles, lookForFiles } from "./dump-loose-files.ts";
import { dumpTree, lookAtTree } from "./dump-tree.ts";
import { findBase, findFixedDirectory, findLooseFiles, listPatterns, namesFile } from "./find-loose-files.ts";
import { escapeGlob, isGlob, unescapeGlob } from "../../base/glob.ts";
import { type FilesOptions, filesOptions, isTree, type LooseOptions, type TreeOptions } from "./options.ts";
import { selectPaths, type PathSelection } from "../../base/path-selection.ts";
import { PathsRestore } from "./restore-paths.ts";
import { LooseRestore } from "./restore-loose-files.ts";
import { TreeRestore } from "./restore-tree.ts";
import { selectInTree } from "./select-in-tree.ts";
import { rollBackSteps, settleSteps } from "./swap-steps.ts";

export const filesDatastore = defineDatastore<FilesOptions>({
  kind: "files",
  description: "Single files by path and glob (`include`), or a directory as one tree (`root`).",
  options: filesOptions,
  parts: "paths",
  sourcePaths: listSourcePaths,
  identify: (options) => {
    const paths = [...new Set(listSourcePaths(options).map(resolvePath))].sort();
    return Promise.resolve({ id: `files:${paths.join(":")}`, paths });
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
  selectInTree,
  rollBack: rollBackSteps,
  settle: settleSteps,
});

function listSourcePaths(options: FilesOptions): readonly string[] {
  if (isTree(options)) return [join(options.root, ".")];
  return [...new Set(listPatterns(options).map(({ path }) => (isGlob(path) ? findFixedDirectory(path) : join(unescapeGlob(path), "."))))];
}

/** Resolves what is there of a path; the rest is taken as it is. */
function resolvePath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (readErrno(error) !== "ENOENT" || path === dirname(path)) return path;
    return join(resolvePath(dirname(path)), basename(path));
  }
}

function selectParts(target: RestoreTarget, { parts }: RestoreOptions, root: string): PathSelection | undefined {
  if (parts === undefined) return undefined;
  if (target.kind !== "original") throw new HoldfastError("usage", "single paths can only be restored to where they belong");
  return selectPaths(parts, root);
}

class TreeDatastore implements Datastore {
  readonly #options: TreeOptions;
  readonly #context: DriverContext;
  readonly #root: string;

  constructor(options: TreeOptions, context: DriverContext) {
    this.#options = options;
    this.#context = context;
    this.#root = resolvePath(join(options.root, "."));
  }

  async probe(signal: AbortSignal): Promise<ProbeFacts> {
    const survey = await lookAtTree(this.#root, this.#options, signal);
    if (survey === undefined) return { summary: "no directory", estimatedBytes: 0, stagingBytes: 0, absent: true, notes: [] };
    const summary = `directory with ${survey.entries} entries, ${describeBytes(survey.fileBytes)}`;
    return { summary, estimatedBytes: survey.tarBytes, stagingBytes: 0, device: survey.device, absent: false, notes: survey.notes };
  }

  dump(signal: AbortSignal): ReturnType<Datastore["dump"]> {
    return dumpTree({ root: this.#root, options: this.#options, context: this.#context }, signal);
  }

  openRestore(target: RestoreTarget, restoring: RestoreOptions): Promise<RestoreSession> {
    const below = target.kind !== "original";
    const { exclude, oneFileSystem } = this.#options;
    // What comes from elsewhere gets no rights that its own config did not ask for.
    const { devices, setId } = restoring.foreign === true ? { devices: false, setId: false } : this.#options;
    const tree = {
      root: below ? resolvePath(target.path) : this.#root,
      below,
      exclude: below ? [] : exclude,
      oneFileSystem,
      special: { devices, setId },
      stagingDir: this.#context.stagingDir,
      progress: this.#context.progress,
    };
    const selection = selectParts(target, restoring, this.#root);
    return Promise.resolve(selection === undefined ? new TreeRestore(tree, restoring) : new PathsRestore(tree, selection, restoring));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

class LooseDatastore implements Datastore {
  readonly #options: LooseOptions;
  readonly #context: DriverContext;
  readonly #resources = new AsyncDisposableStack();

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
      ...(first === undefined ? {} : { device: Number(first.stat.dev) }),
      absent: files.length === 0 && !this.#options.allowEmpty,
      notes,
    });
  }

  dump(signal: AbortSignal): ReturnType<Datastore["dump"]> {
    const staged = (path: string): void => this.#resources.defer(() => rm(path, { force: true }));
    return dumpLooseFiles({ options: this.#options, context: this.#context, resources: this.#resources, staged }, signal);
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
