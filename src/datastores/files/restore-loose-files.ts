import { createHash } from "node:crypto";
import { constants, lstatSync, realpathSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { emptyContents, type Contents } from "../../base/contents.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { FileAttributes, RestoreOptions, RestoreSession, SavedMember, StoredEntry, SwapStep, TargetFacts } from "../contract.ts";
import { copiedAtMostBytes } from "./dump-loose-files.ts";
import { describeFiles } from "./check-entries.ts";
import { explainSpace } from "../trees/explain-fault.ts";
import { createUnmetError } from "../trees/filter-tree.ts";
import { findUsers } from "../trees/find-users.ts";
import type { PathSelection } from "../../base/path-selection.ts";
import { createFileHeader, createPadding, endOfArchive } from "./pax-header.ts";
import { beginSwap, findExisting, makeArea, type RestoreArea } from "../trees/restore-area.ts";
import { moveEntry, readInode, removeArea, syncAll } from "../trees/swap-steps.ts";
import { extractTree, syncTree } from "../trees/tar-program.ts";

export interface LooseTarget {
  /** Resolved directory that names are relative to. */
  readonly base: string;
  /** Names of what is there now and belongs to the datastore. */
  readonly list: () => readonly string[];
  readonly setId: boolean;
  /** Whether the config names this file itself, not by a glob: then a link that it is leads to the file that is meant. */
  readonly isNamed: (name: string) => boolean;
  /** Of the options; for a backup of another datastore, whose undo could not take away what this one does not name. */
  readonly names?: (name: string) => boolean;
}

interface StagedFile {
  readonly name: string;
  readonly target: string;
  readonly area: RestoreArea;
  /** In the area. */
  readonly staged: string;
}

const plainAttributes: FileAttributes = { mode: 0o600, uid: 0, gid: 0, mtimeNs: "0" };

/** Restores single files, each by a rename of its own; files that belong to the datastore but not to the backup are put aside. */
export class LooseRestore implements RestoreSession {
  readonly #target: LooseTarget;
  readonly #record: RestoreOptions["record"];
  readonly #selection: PathSelection | undefined;
  readonly #beyond: "keep" | "remove";
  readonly #areas = new Map<string, RestoreArea>();
  readonly #files: StagedFile[] = [];
  /** Areas that a roll-back or a settlement removes. */
  readonly #recorded = new Set<string>();

  /** @param selection of which names alone are meant */
  constructor(target: LooseTarget, { record, beyond }: Pick<RestoreOptions, "record" | "beyond">, selection?: PathSelection) {
    this.#target = target;
    this.#record = record;
    this.#selection = selection;
    this.#beyond = selection === undefined ? "remove" : (beyond ?? "keep");
  }

  /** What belongs to the datastore, is meant and is there now. */
  #list(): readonly string[] {
    return this.#target.list().filter((name) => this.#selection?.has(name) ?? true);
  }

  inspect(_signal: AbortSignal): Promise<TargetFacts> {
    const paths = this.#list().map((name) => this.#place(name));
    const isPresent = paths.length > 0 || (this.#selection !== undefined && this.#target.list().length > 0);
    const beyond =
      this.#selection === undefined ? "files of this datastore that the backup does not have" : "what matches and is not in the backup";
    const stats = paths.map((path) => lstatSync(path));
    const bytes = stats.reduce((total, { size }) => total + size, 0);
    return Promise.resolve({
      summary: paths.length === 0 ? "nothing is there" : `${paths.length} files, ${describeBytes(bytes)}`,
      present: isPresent,
      bytes,
      method: `replaces file by file; ${beyond} ${this.#beyond === "keep" ? "stays as it is" : this.#selection === undefined ? "are put aside" : "is put aside"}`,
      neededBytes: bytes,
      notes: [],
      users: paths.length === 0 ? [] : findUsers(paths),
      neededAt: findExisting(this.#target.base),
      saveStagingBytes: stats.reduce((total, { size }) => total + (size <= copiedAtMostBytes ? size : 0), 0),
      ...(paths.length === 0 ? {} : { newestChangeAtMs: Math.max(...stats.map(({ mtimeMs }) => Math.floor(mtimeMs))) }),
    });
  }

  count(_signal: AbortSignal): Promise<Readonly<Record<string, number>>> {
    const sizes = this.#target.list().map((name) => lstatSync(this.#place(name)).size);
    return Promise.resolve({ files: sizes.length, bytes: sizes.reduce((total, size) => total + size, 0) });
  }

  async findUnmet(entries: AsyncIterable<StoredEntry>, _signal: AbortSignal): Promise<readonly string[]> {
    const names: string[] = [];
    for await (const { name } of entries) names.push(name);
    return this.#selection?.listUnmet(names) ?? [];
  }

  async stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    try {
      for await (const entry of entries) if (this.#selection?.has(entry.name) ?? true) await this.#stageFile(entry, signal);
      const unmet = this.#selection?.listUnmet(this.#files.map(({ name }) => name)) ?? [];
      if (unmet.length > 0 && this.#beyond === "keep") throw createUnmetError(unmet, this.#target.base);
      for (const { path } of this.#areas.values()) await syncTree(path, signal);
    } catch (error) {
      throw explainSpace(error, `Cannot restore to ${this.#target.base}`);
    }
    return this.#describe(await hashFiles(this.#files.map(({ name, staged }) => ({ name, path: staged }))));
  }

  /** Of some files the manifest tells the hashes, not the sums. */
  #describe(contents: Contents): Contents {
    return this.#selection === undefined ? contents : { ...contents, counts: {} };
  }

  /** Where an undo only takes away there is nothing to compare with. */
  expectedOfParts(): Contents | undefined {
    return this.#files.length === 0 ? emptyContents : undefined;
  }

  /** Files of the backup that the datastore does not name any more are not saved; what a partial backup left out stays aside anyway. */
  assertSaved({ status, entries }: SavedMember, _signal: AbortSignal): Promise<void> {
    const saved = new Set(entries.map(({ name }) => name));
    const present = [...this.#files.filter(({ target }) => readInode(Buffer.from(target)) !== undefined), ...this.#listExtra()];
    const unsaved = present.flatMap(({ name }) => (saved.has(name) ? [] : [name]));
    if (status === "partial" || unsaved.length === 0) return Promise.resolve();
    throw new HoldfastError(
      "target-unsafe",
      `Cannot restore to ${this.#target.base}: ${unsaved.slice(0, 5).join(", ")} would be replaced, and is not in the backup of what is there now`,
      {
        hint: "Let the datastore name it again (include, exclude), or move it away first; what has just been made is saved by another try.",
      },
    );
  }

  #listExtra(): readonly { readonly name: string }[] {
    const restored = new Set(this.#files.map(({ name }) => name));
    if (this.#beyond === "keep") return [];
    return this.#list().flatMap((name) => (restored.has(name) ? [] : [{ name }]));
  }

  async swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    const steps: SwapStep[] = [];
    const keep = async (step: SwapStep): Promise<void> => {
      signal.throwIfAborted();
      await record(step);
      this.#recorded.add(String(step["area"]));
      steps.push(step);
    };
    const extra = this.#listExtra().map(({ name }) => name);
    for (const name of extra) await this.#findArea(dirname(this.#place(name)));
    for (const area of this.#areas.values()) await beginSwap(area, keep);
    for (const [index, file] of this.#files.entries()) {
      const target = Buffer.from(file.target);
      if (readInode(target) !== undefined) {
        if (!lstatSync(file.target).isFile())
          throw new HoldfastError("target-unsafe", `Cannot restore to ${file.target}: it is no regular file`);
        await moveEntry({ op: "aside", area: file.area.path, from: target, to: Buffer.from(join(file.area.path, `old-${index}`)) }, keep);
      }
      await moveEntry({ op: "place", area: file.area.path, from: Buffer.from(file.staged), to: target }, keep);
    }
    for (const [index, name] of extra.entries()) {
      const { path } = await this.#findArea(dirname(this.#place(name)));
      await moveEntry(
        { op: "aside", area: path, from: Buffer.from(this.#place(name)), to: Buffer.from(join(path, `extra-${index}`)) },
        keep,
      );
    }
    await syncAll(steps);
  }

  async summarize(_signal: AbortSignal): Promise<Contents> {
    const names = new Set([...this.#files.map(({ name }) => name), ...(this.#beyond === "keep" ? [] : this.#list())]);
    return this.#describe(await hashFiles([...names].map((name) => ({ name, path: this.#place(name) }))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { path } of this.#areas.values()) if (!this.#recorded.has(path)) await removeArea(path, new AbortController().signal);
  }

  /** A symbolic link that the config names is kept; the file that it leads to is replaced. */
  #place(name: string): string {
    const path = join(this.#target.base, name);
    if (path === this.#target.base || !path.startsWith(this.#target.base === "/" ? "/" : `${this.#target.base}/`)) {
      throw new HoldfastError("backup-damaged", `Cannot restore "${name}": it lies outside ${this.#target.base}`);
    }
    return this.#target.isNamed(name) && lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true ? realpathSync(path) : path;
  }

  async #findArea(directory: string): Promise<RestoreArea> {
    const known = this.#areas.get(directory);
    if (known !== undefined) return known;
    const area = await makeArea(directory, this.#record);
    this.#areas.set(directory, area);
    return area;
  }

  async #stageFile(entry: StoredEntry, signal: AbortSignal): Promise<void> {
    if (entry.form !== "file") throw new HoldfastError("backup-damaged", `Cannot restore "${entry.name}": single files were expected`);
    if (this.#target.names?.(entry.name) === false) {
      throw new HoldfastError(
        "target-unsafe",
        `Cannot restore "${entry.name}" to ${this.#target.base}: this datastore does not name it, so an undo would leave it there`,
        {
          hint: "Restore into a directory (--to /PATH), or into a datastore that includes it.",
        },
      );
    }
    const target = this.#place(entry.name);
    const area = await this.#findArea(dirname(target));
    const name = `new-${this.#files.length}`;
    await extractTree(frameFile(name, entry, this.#target.setId, signal), area.path, signal);
    this.#files.push({ name: entry.name, target, area, staged: join(area.path, name) });
  }
}

/** GNU tar gives a file its owner, mode and time to the nanosecond, which Node cannot. */
async function* frameFile(
  name: string,
  entry: StoredEntry,
  setId: boolean,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const attributes = entry.attributes ?? plainAttributes;
  yield createFileHeader(name, entry.bytes, setId ? attributes : { ...attributes, mode: attributes.mode & 0o1777 });
  let bytes = 0;
  for await (const chunk of entry.open(signal)) {
    bytes += chunk.length;
    if (bytes > entry.bytes) break;
    yield chunk;
  }
  if (bytes !== entry.bytes)
    throw new HoldfastError("backup-damaged", `Cannot restore "${entry.name}": it does not have the ${entry.bytes} bytes of its manifest`);
  yield createPadding(entry.bytes);
  yield endOfArchive;
}

async function hashFiles(files: readonly { readonly name: string; readonly path: string }[]): Promise<Contents> {
  const digests: Record<string, string> = {};
  let bytes = 0;
  for (const { name, path } of files) {
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const hash = createHash("sha256");
    for await (const chunk of handle.createReadStream({ highWaterMark: 1024 * 1024 })) {
      hash.update(chunk as Buffer);
      bytes += (chunk as Buffer).length;
    }
    digests[`file.${name}`] = hash.digest("hex");
  }
  return describeFiles(digests, bytes);
}
