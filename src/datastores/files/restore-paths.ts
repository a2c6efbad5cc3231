import { lstatSync, mkdirSync, readdirSync, realpathSync, rmdirSync, unlinkSync, type BigIntStats } from "node:fs";
import { dirname, join } from "node:path";
import { compareContents, emptyContents, type Contents } from "../../base/contents.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { RestoreOptions, RestoreSession, SavedMember, StoredEntry, SwapStep, TargetFacts } from "../contract.ts";
import { explainSpace } from "../trees/explain-fault.ts";
import { createUnmetError, filterTree, findMembers, type FoundMembers } from "../trees/filter-tree.ts";
import { findUsers } from "../trees/find-users.ts";
import { listMountPoints } from "../trees/mounts.ts";
import type { PathSelection } from "../../base/path-selection.ts";
import { assertNoMount, assertWay, planPaths, type PathAct } from "./plan-paths.ts";
import { escapePath, joinPath } from "../trees/raw-path.ts";
import { RawPathSet } from "./raw-path-set.ts";
import { readTree } from "../trees/read-tree.ts";
import { beginSwap, makeArea, type RestoreArea } from "../trees/restore-area.ts";
import type { TreeTarget } from "../trees/restore-tree.ts";
import { surveyTree } from "../trees/survey-tree.ts";
import { copyAttributes, moveEntry, readInode, removeArea, syncAll } from "../trees/swap-steps.ts";
import { extractTree, syncTree } from "../trees/tar-program.ts";
import { walkTree } from "../trees/walk-tree.ts";

type Recorder = (step: SwapStep) => Promise<void>;

/**
 * Restores chosen paths of a tree and leaves the rest alone. What the backup has of them replaces what is there, name by name; directories
 * that both have stay and get the backup's owner and mode where they are chosen themselves. No link on the way is followed.
 */
export class PathsRestore implements RestoreSession {
  readonly #target: TreeTarget;
  readonly #selection: PathSelection;
  readonly #beyond: "keep" | "remove";
  readonly #record: RestoreOptions["record"];
  #area: RestoreArea | undefined;
  #begun = false;
  #hasAny = false;
  #contents: Contents = emptyContents;
  #expected: Contents = emptyContents;
  /** What was placed and compared: its path below the root, and its state then. */
  #placed: { readonly path: Buffer; readonly state: string }[] = [];

  constructor(target: TreeTarget, selection: PathSelection, { record, beyond = "keep" }: Pick<RestoreOptions, "record" | "beyond">) {
    this.#target = target;
    this.#selection = selection;
    this.#record = record;
    this.#beyond = beyond;
  }

  async inspect(signal: AbortSignal): Promise<TargetFacts> {
    const { root } = this.#target;
    const present = readInode(root) !== undefined;
    let entries = 0;
    let bytes = 0;
    if (present)
      for (const { path, stat } of walkTree(root, { enter: () => true, unreadable: () => undefined })) {
        signal.throwIfAborted();
        if (path.length === 0 || !this.#selection.has(path)) continue;
        entries += 1;
        if (stat.isFile()) bytes += Number(stat.size);
      }
    const beyond = this.#beyond === "keep" ? "stays as it is" : "is put aside";
    return {
      summary: present ? `${entries} entries match, ${describeBytes(bytes)}` : "nothing is there",
      present,
      bytes,
      method: `replaces file by file what matches; what matches and is not in the backup ${beyond}`,
      neededBytes: bytes,
      notes: [],
      users: present ? findUsers([root]) : [],
    };
  }

  async findUnmet(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<readonly string[]> {
    for await (const entry of entries) return this.#listUnmet(await findMembers(entry, this.#selection, signal));
    return this.#selection.patterns;
  }

  async stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    this.#checkRoot();
    for await (const entry of entries) {
      if (entry.form !== "tree") throw new HoldfastError("backup-damaged", `Cannot restore "${entry.name}": one tree was expected`);
      const found = await findMembers(entry, this.#selection, signal);
      const unmet = this.#listUnmet(found);
      if (unmet.length > 0 && this.#beyond === "keep") throw createUnmetError(unmet, entry.name.replace(/\.tar$/, ""));
      if (found.wanted.size === 0 && found.directories.size === 0) continue;
      this.#hasAny = true;
      this.#area = await makeArea(this.#findPlace(), this.#record);
      mkdirSync(this.#new, 0o700);
      const { root, special, stagingDir, progress } = this.#target;
      try {
        const filtered = filterTree(entry, found, special, signal);
        await extractTree(filtered.pieces, this.#new, signal);
        await syncTree(this.#new, signal);
        this.#expected = filtered.contents();
      } catch (error) {
        throw explainSpace(error, `Cannot restore to ${root}`);
      }
      progress({ phase: "comparing" });
      this.#contents = await readTree(this.#new, { oneFileSystem: true, passedOver: [], stagingDir }, signal);
      if (compareContents(this.#expected, this.#contents).length === 0) this.#prune();
    }
    return this.#contents;
  }

  #listUnmet({ chosen, directories }: FoundMembers): readonly string[] {
    return this.#selection.listUnmet([...chosen, ...directories].map((path) => Buffer.from(path, "latin1")));
  }

  expectedOfParts(): Contents {
    return this.#expected;
  }

  /** What the backups leave out is in the one of the present data neither. */
  async assertSaved({ status }: SavedMember, signal: AbortSignal): Promise<void> {
    const { root, exclude } = this.#target;
    if (status === "partial" || exclude.length === 0 || readInode(root) === undefined) return;
    const acts = await this.#plan(signal);
    const excluded = await this.#readExcluded(signal);
    const goes = acts.filter((act) => act.act === "remove" || (act.act === "place" && act.replaces === "something"));
    const lost = goes.map(({ path }) => path).filter((path) => excluded.has(path) || excluded.hasBelow(path) || excluded.hasAbove(path));
    if (lost.length === 0) return;
    throw new HoldfastError(
      "target-unsafe",
      `Cannot restore to ${root}: ${lost.slice(0, 5).map(escapePath).join(", ")} would be replaced, and \`exclude\` leaves it out of the backup of what is there now`,
      { hint: "Take it out of `exclude` for this restore, or move it away first." },
    );
  }

  async swap(record: Recorder, signal: AbortSignal): Promise<void> {
    this.#checkRoot();
    const { root } = this.#target;
    const acts = await this.#plan(signal);
    if (acts.length === 0) return;
    const area = (this.#area ??= await makeArea(this.#findPlace(), this.#record));
    const steps: SwapStep[] = [];
    const keep: Recorder = async (step) => {
      signal.throwIfAborted();
      await record(step);
      this.#begun = true;
      steps.push(step);
    };
    await beginSwap(area, keep);
    for (const [index, act] of acts.entries()) {
      const to = joinPath(root, act.path);
      const from = joinPath(this.#new, act.path);
      assertWay(root, act.path);
      if (act.act === "attributes") {
        await copyAttributes(from, to, area.path, keep);
        continue;
      }
      const aside = Buffer.from(join(area.path, `old-${index}`));
      if (act.act === "remove" || act.replaces === "something")
        await moveEntry({ op: "aside", area: area.path, from: to, to: aside }, keep);
      if (act.act === "remove") continue;
      const state = readState(from);
      await moveEntry({ op: "place", area: area.path, from, to }, keep);
      this.#placed.push({ path: act.path, state });
    }
    await syncAll(steps);
  }

  /** The very inodes that were read to their end and compared, as long as nothing has changed any of them since. */
  summarize(_signal: AbortSignal): Promise<Contents> {
    const { root } = this.#target;
    const changed = this.#placed.filter(({ path, state }) => readState(joinPath(root, path)) !== state);
    if (changed.length === 0) return Promise.resolve(this.#contents);
    const digests = Object.fromEntries(changed.map(({ path }) => [`changed.${escapePath(path)}`, "by another program"]));
    return Promise.resolve({ ...this.#contents, digests: { ...this.#contents.digests, ...digests } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#area !== undefined && !this.#begun) await removeArea(this.#area.path, new AbortController().signal);
  }

  get #new(): string {
    return join(this.#area?.path ?? "", "new");
  }

  #findPlace(): string {
    const { root } = this.#target;
    return isMountPoint(root) ? root : dirname(root);
  }

  #checkRoot(): void {
    const { root } = this.#target;
    if (readInode(root) === undefined) return;
    if (realpathSync(root) !== root || !lstatSync(root).isDirectory())
      throw new HoldfastError("target-unsafe", `Cannot restore to ${root}: it has become a link, or is no directory`);
  }

  async #plan(signal: AbortSignal): Promise<readonly PathAct[]> {
    const { root } = this.#target;
    const excluded = await this.#readExcluded(signal);
    const staged = this.#hasAny ? this.#new : undefined;
    const acts = [...planPaths({ root, staged, selection: this.#selection, beyond: this.#beyond, excluded })];
    assertNoMount(root, acts);
    return acts;
  }

  /** What backups leave out, our own areas included. */
  async #readExcluded(signal: AbortSignal): Promise<RawPathSet> {
    const { root } = this.#target;
    return new RawPathSet(readInode(root) === undefined ? [] : (await surveyTree(root, this.#target, signal)).excluded);
  }

  /** Removes what was extracted only because something else needed it: what hard links lead to. */
  #prune(): void {
    const gone: { readonly path: Buffer; readonly isDirectory: boolean }[] = [];
    for (const { path, stat } of walkTree(this.#new, { enter: () => true, unreadable: () => undefined }))
      if (path.length > 0 && !this.#selection.has(path)) gone.push({ path, isDirectory: stat.isDirectory() });
    for (const { path, isDirectory } of gone.toReversed()) {
      const place = joinPath(this.#new, path);
      if (!isDirectory) unlinkSync(place);
      else if (readdirSync(place, { encoding: "buffer" }).length === 0) rmdirSync(place);
    }
  }
}

function isMountPoint(path: Buffer | string): boolean {
  const raw = Buffer.from(path);
  return listMountPoints(raw).some((mount) => mount.equals(raw));
}

/** Which inodes lie there, and whether anything was written to any of them: all that a rename leaves as it is. */
function readState(place: Buffer): string {
  const describe = ({ ino, mode, uid, gid, size, mtimeNs }: BigIntStats): string => [ino, mode, uid, gid, size, mtimeNs].join(":");
  const top = lstatSync(place, { bigint: true, throwIfNoEntry: false });
  if (top === undefined) return "gone";
  if (!top.isDirectory()) return describe(top);
  const parts: string[] = [];
  for (const { path, stat } of walkTree(place, { enter: () => true, unreadable: () => undefined }))
    parts.push(`${path.toString("latin1")} ${describe(stat)}`);
  return parts.join("\n");
}
