import { lstatSync, mkdirSync, readdirSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Contents, emptyContents } from "../../base/contents.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { DriverContext, RestoreOptions, RestoreSession, SavedMember, StoredEntry, SwapStep, TargetFacts } from "../contract.ts";
import { isFree, prepareCarry } from "./carry-over.ts";
import { explainSpace } from "./explain-fault.ts";
import { findUsers } from "./find-users.ts";
import { listMountPoints } from "./mounts.ts";
import { joinPath } from "./raw-path.ts";
import { checkPieces, readTree, type TreeReading } from "./read-tree.ts";
import { beginSwap, findExisting, makeArea, type RestoreArea } from "./restore-area.ts";
import { restoreAreaName, surveyTree } from "./survey-tree.ts";
import { readTreeState } from "./tree-state.ts";
import { copyAttributes, moveEntry, readInode, removeArea, syncAll } from "./swap-steps.ts";
import { extractTree, syncTree } from "./tar-program.ts";
import type { SpecialFiles } from "./tree-summary.ts";

export interface TreeTarget {
  /** The directory to replace, resolved; for a directory of drills the one in which the tree gets its own name. */
  readonly root: string;
  readonly below: boolean;
  /** `root`: others hold the directory itself, a container that has it mounted, so that only its entries are replaced. */
  readonly keeps?: "root";
  readonly exclude: readonly string[];
  readonly oneFileSystem: boolean;
  readonly special: SpecialFiles;
  readonly stagingDir: string;
  readonly progress: DriverContext["progress"];
}

/** Restores one tree by renaming; a root that is a mount point is swapped entry by entry. */
export class TreeRestore implements RestoreSession {
  readonly #target: TreeTarget;
  readonly #record: RestoreOptions["record"];
  readonly #foreign: boolean;
  #root: string;
  #area: RestoreArea | undefined;
  #begun = false;
  #staged = false;
  /** What was read from the staged tree, and the state it was in then. */
  #compared: { readonly contents: Contents; readonly state: string | undefined } | undefined;
  /** What was carried over from the old tree, below the root: no part of the backup. */
  #carried: readonly Buffer[] = [];

  constructor(target: TreeTarget, { record, foreign = false }: Pick<RestoreOptions, "record" | "foreign">) {
    this.#target = target;
    this.#record = record;
    this.#foreign = foreign;
    this.#root = target.root;
  }

  async inspect(signal: AbortSignal): Promise<TargetFacts> {
    const { root, below } = this.#target;
    const present = !below && readInode(root) !== undefined;
    const survey = present ? await surveyTree(root, this.#target, signal) : undefined;
    const bytes = survey?.fileBytes ?? 0;
    return {
      summary: survey === undefined ? "nothing is there" : `directory with ${survey.entries} entries, ${describeBytes(bytes)}`,
      present,
      bytes,
      method: this.#keepsRoot() ? "replaces each entry of the mounted directory" : "replaces the directory",
      neededBytes: survey?.tarBytes ?? 0,
      notes: (survey?.mounts ?? []).map((path) => ({
        level: "warning",
        code: "mount-inside",
        message: `${path.toString()} is mounted inside and must be unmounted first`,
      })),
      users: present ? findUsers([root]) : [],
      neededAt: findExisting(below ? root : this.#findPlace()),
      ...(survey === undefined ? {} : { newestChangeAtMs: survey.newestChangeAtMs, saveBytes: survey.tarBytes }),
    };
  }

  async count(signal: AbortSignal): Promise<Readonly<Record<string, number>> | undefined> {
    const { root, below } = this.#target;
    if (below || readInode(root) === undefined) return undefined;
    return (await surveyTree(root, this.#target, signal)).distinct;
  }

  async stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    let contents: Contents | undefined;
    for await (const entry of entries) {
      if (entry.form !== "tree" || contents !== undefined)
        throw new HoldfastError("backup-damaged", `Cannot restore "${entry.name}": one tree was expected`);
      contents = await this.#stageTree(entry, signal);
    }
    return contents ?? emptyContents;
  }

  /** What backups leave out survives a restore; where it cannot it would be lost. */
  async assertSaved(_saved: SavedMember, signal: AbortSignal): Promise<void> {
    if (readInode(this.#root) === undefined) return;
    const isMount = this.#keepsRoot();
    const survives = (path: Buffer): boolean => (this.#staged ? isFree(this.#new, path) : isMount && !path.includes(0x2f));
    const lost = (await this.#listKept(signal)).filter((path) => !survives(path)).map(String);
    if (lost.length === 0) return;
    const why = this.#staged ? "the backup has it, too" : "it was not there when this backup was made";
    throw new HoldfastError(
      "target-unsafe",
      `Cannot restore to ${this.#root}: ${lost.slice(0, 5).join(", ")} would be replaced or removed (${why}), and \`exclude\` leaves it out of the backup of what is there now`,
      { hint: "Take it out of `exclude` for this restore, or move it away first." },
    );
  }

  async swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    this.#checkTarget();
    if (!this.#staged && readInode(this.#root) === undefined) return;
    const area = (this.#area ??= await makeArea(this.#findPlace(), this.#record));
    const steps: SwapStep[] = [];
    const keep = async (step: SwapStep): Promise<void> => {
      await record(step);
      this.#begun = true; // from here on a roll-back or a settlement removes the area
      steps.push(step);
    };
    await beginSwap(area, keep);
    await (this.#keepsRoot() ? this.#swapEntries(area, keep, signal) : this.#swapRoot(area, keep, signal));
    await syncAll(steps);
  }

  async summarize(signal: AbortSignal): Promise<Contents> {
    if (readInode(this.#root) === undefined) return emptyContents;
    // The very inodes that were read to their end and compared, and nothing has changed any of them since.
    const { contents, state } = this.#compared ?? {};
    if (contents !== undefined && state !== undefined && state === (await readTreeState(this.#root, signal))) return contents;
    return await readTree(this.#root, this.#describeReading(), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#area !== undefined && !this.#begun) await removeArea(this.#area.path, new AbortController().signal);
  }

  /** The staged copy, until it is swapped in; for drivers that try whether its server can read it. */
  get stagedPath(): string | undefined {
    return this.#staged && !this.#begun ? this.#new : undefined;
  }

  get #new(): string {
    return join(this.#area?.path ?? "", "new");
  }

  /** The staged copy, between `stage` and `swap`; undefined where nothing was staged. */
  get stagedRoot(): string | undefined {
    return this.#staged ? this.#new : undefined;
  }

  /** What `swap` has put aside, for drivers that ask whether a server has it open. */
  get asidePath(): string | undefined {
    return this.#begun && this.#area !== undefined ? join(this.#area.path, "old") : undefined;
  }

  /** Where renames to the target work: beside it, or in it when it is a mount point. */
  #findPlace(): string {
    return this.#keepsRoot() ? this.#root : dirname(this.#root);
  }

  #keepsRoot(): boolean {
    return (this.#target.keeps === "root" && readInode(this.#root) !== undefined) || isMountPoint(this.#root);
  }

  async #stageTree(entry: StoredEntry, signal: AbortSignal): Promise<Contents> {
    if (this.#target.below) this.#root = join(this.#target.root, readTreeName(entry));
    this.#checkTarget();
    this.#area = await makeArea(this.#findPlace(), this.#record);
    mkdirSync(this.#new, 0o700);
    try {
      await extractTree(checkPieces(entry, this.#target.special, signal), this.#new, signal);
    } catch (error) {
      throw explainSpace(error, `Cannot restore to ${this.#root}`);
    }
    if (this.#foreign) await this.#requireNamed(signal);
    this.#target.progress({ phase: "comparing" });
    // The one waits for the disk, the other reads what is in memory still.
    const [synced, compared] = await Promise.allSettled([syncTree(this.#new, signal), this.#compare(signal)]);
    if (synced.status === "rejected") throw explainSpace(synced.reason, `Cannot restore to ${this.#root}`);
    if (compared.status === "rejected") throw compared.reason;
    this.#staged = true;
    this.#compared = compared.value;
    return compared.value.contents;
  }

  async #compare(signal: AbortSignal): Promise<{ readonly contents: Contents; readonly state: string | undefined }> {
    const state = await readTreeState(this.#new, signal);
    return { state, contents: await readTree(this.#new, this.#describeReading(), signal) };
  }

  /** What this datastore leaves out would be saved by no backup of it, and stay after an undo. */
  async #requireNamed(signal: AbortSignal): Promise<void> {
    if (this.#target.exclude.length === 0) return;
    const [first, ...others] = (await surveyTree(this.#new, this.#target, signal)).excluded.map(String);
    if (first === undefined) return;
    const more = others.length === 0 ? "" : ` and ${others.length} more`;
    throw new HoldfastError(
      "target-unsafe",
      `Cannot restore to ${this.#root}: the backup has ${first}${more}, which \`exclude\` of this datastore leaves out, so an undo would leave it there`,
      { hint: "Restore into a directory (--to /PATH), or into a datastore that does not exclude it." },
    );
  }

  #checkTarget(): void {
    if (readInode(this.#root) === undefined) return;
    if (realpathSync(this.#root) !== this.#root || !lstatSync(this.#root).isDirectory()) {
      throw new HoldfastError("target-unsafe", `Cannot restore to ${this.#root}: it has become a link, or is no directory`);
    }
    const inside = listMountPoints(Buffer.from(this.#root)).find((path) => !path.equals(Buffer.from(this.#root)));
    if (inside !== undefined) {
      throw new HoldfastError("target-unsafe", `Cannot restore to ${this.#root}: ${inside.toString()} is mounted in it`, {
        hint: "Unmount it for the restore.",
      });
    }
  }

  async #swapRoot(area: RestoreArea, record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    const old = join(area.path, "old");
    if (readInode(this.#root) !== undefined) {
      const kept = await this.#listKept(signal);
      await moveEntry({ op: "aside", area: area.path, from: Buffer.from(this.#root), to: Buffer.from(old) }, record);
      if (this.#staged) for (const path of kept) await this.#carry(old, path, area.path, record);
    }
    if (this.#staged) await moveEntry({ op: "place", area: area.path, from: Buffer.from(this.#new), to: Buffer.from(this.#root) }, record);
  }

  async #swapEntries(area: RestoreArea, record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    const kept = await this.#listKept(signal);
    const keptNames = new Set(kept.map((path) => path.toString("latin1")));
    const old = join(area.path, "old");
    mkdirSync(old, 0o700);
    const stays: Buffer[] = [];
    for (const name of listNames(this.#root)) {
      const staged = this.#staged ? readInode(joinPath(this.#new, name)) : undefined;
      if (keptNames.has(name.toString("latin1")) && staged === undefined) stays.push(name);
      else await moveEntry({ op: "aside", area: area.path, from: joinPath(this.#root, name), to: joinPath(old, name) }, record);
    }
    this.#carried = stays;
    if (!this.#staged) return;
    for (const path of kept) if (path.includes(0x2f)) await this.#carry(old, path, area.path, record);
    for (const name of listNames(this.#new))
      await moveEntry({ op: "place", area: area.path, from: joinPath(this.#new, name), to: joinPath(this.#root, name) }, record);
    await copyAttributes(this.#new, this.#root, area.path, record);
  }

  async #listKept(signal: AbortSignal): Promise<readonly Buffer[]> {
    if (this.#target.exclude.length === 0) return [];
    return (await surveyTree(this.#root, this.#target, signal)).excluded.filter((path) => !restoreAreaName.test(path.toString("latin1")));
  }

  async #carry(old: string, path: Buffer, area: string, record: (step: SwapStep) => Promise<void>): Promise<void> {
    const prepared = prepareCarry(old, this.#new, path);
    if (prepared === undefined) return;
    this.#carried = [...this.#carried, prepared];
    await moveEntry({ op: "carry", area, from: joinPath(old, path), to: joinPath(this.#new, path) }, record);
  }

  #describeReading(): TreeReading {
    return { oneFileSystem: this.#target.oneFileSystem, passedOver: this.#carried, stagingDir: this.#target.stagingDir };
  }
}

function readTreeName(entry: StoredEntry): string {
  const name = basename(entry.name, ".tar");
  if (name !== "" && name !== "." && name !== "..") return name;
  throw new HoldfastError("backup-damaged", `Cannot restore "${entry.name}": that is no name for a directory`);
}

function isMountPoint(path: string): boolean {
  return listMountPoints(Buffer.from(path)).some((mount) => mount.equals(Buffer.from(path)));
}

function listNames(directory: string): readonly Buffer[] {
  return readdirSync(directory, { encoding: "buffer" }).filter((name) => !restoreAreaName.test(name.toString("latin1")));
}
