import { lstatSync, mkdirSync, readdirSync, realpathSync, rmdirSync, unlinkSync, type BigIntStats } from "node:fs";
import { dirname, join } from "node:path";
import { compareContents, emptyContents, type Contents } from "../../base/contents.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { RestoreOptions, RestoreSession, SavedMember, StoredEntry, SwapStep, TargetFacts } from "../contract.ts";
import { explainSpace } from "./explain-fault.ts";
import { createUnmetError, filterTree, findMembers } from "./filter-tree.ts";
import { findUsers } from "./find-users.ts";
import { listMountPoints } from "./mounts.ts";
import type { PathSelection } from "../../base/path-selection.ts";
import { escapePath, joinPath } from "./raw-path.ts";
import { readTree } from "./read-tree.ts";
import { beginSwap, makeArea, type RestoreArea } from "./restore-area.ts";
import type { TreeTarget } from "./restore-tree.ts";
import { surveyTree } from "./survey-tree.ts";
import { copyAttributes, moveEntry, readInode, removeArea, syncAll } from "./swap-steps.ts";
import { extractTree, syncTree } from "./tar-program.ts";
import { walkTree } from "./walk-tree.ts";

/** One act of the swap, on a path below the root. */
type PathAct =
  | { readonly act: "place"; readonly path: Buffer; readonly replaces: "something" | "nothing" }
  | { readonly act: "attributes"; readonly path: Buffer }
  | { readonly act: "remove"; readonly path: Buffer };

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

  async stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    this.#checkRoot();
    for await (const entry of entries) {
      if (entry.form !== "tree") throw new HoldfastError("backup-damaged", `Cannot restore "${entry.name}": one tree was expected`);
      const found = await findMembers(entry, this.#selection, signal);
      const unmet = this.#selection.listUnmet();
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

  expectedOfParts(): Contents {
    return this.#expected;
  }

  /** What the backups leave out is in the one of the present data neither. */
  async assertSaved({ status }: SavedMember, signal: AbortSignal): Promise<void> {
    const { root, exclude } = this.#target;
    if (status === "partial" || exclude.length === 0 || readInode(root) === undefined) return;
    const { excluded } = await surveyTree(root, this.#target, signal);
    const goes = [...this.#plan(excluded)].filter((act) => act.act === "remove" || (act.act === "place" && act.replaces === "something"));
    const lost = goes.flatMap(({ path }) => excluded.filter((left) => left.equals(path) || isBelow(left, path) || isBelow(path, left)));
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
    const excluded = readInode(root) === undefined ? [] : (await surveyTree(root, this.#target, signal)).excluded;
    const acts = [...this.#plan(excluded)];
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
      this.#checkWay(act.path);
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

  /** What is to be done, top down, by what is there now. @throws target-unsafe where a link, or another file system, is on the way */
  *#plan(excluded: readonly Buffer[]): Generator<PathAct, void, undefined> {
    const { root } = this.#target;
    if (this.#hasAny) {
      if (readInode(root) === undefined) {
        yield { act: "place", path: Buffer.alloc(0), replaces: "nothing" };
        return;
      }
      yield* this.#planDirectory(Buffer.alloc(0));
    }
    if (this.#beyond === "remove" && readInode(root) !== undefined) yield* this.#planRemovals(excluded);
  }

  *#planDirectory(path: Buffer): Generator<PathAct, void, undefined> {
    for (const name of readdirSync(joinPath(this.#new, path), { encoding: "buffer" }).sort((one, other) => Buffer.compare(one, other))) {
      const inner = joinPath(path, name);
      const staged = lstatSync(joinPath(this.#new, inner));
      const present = lstatSync(joinPath(this.#target.root, inner), { throwIfNoEntry: false });
      if (present === undefined) yield { act: "place", path: inner, replaces: "nothing" };
      else if (staged.isDirectory() && present.isDirectory()) {
        this.#checkWay(joinPath(inner, "x"));
        yield* this.#planDirectory(inner);
        if (this.#selection.has(inner)) yield { act: "attributes", path: inner };
      } else if (this.#selection.has(inner)) yield { act: "place", path: inner, replaces: "something" };
      else throw createWayError(joinPath(this.#target.root, inner));
    }
  }

  /** What is chosen and not in the backup: the topmost of it, but nothing with something in it that backups leave out. */
  *#planRemovals(excluded: readonly Buffer[]): Generator<PathAct, void, undefined> {
    const removed: PathAct[] = [];
    const rules = {
      enter: ({ path }: { readonly path: Buffer }) =>
        !removed.some((act) => act.path.equals(path)) && !excluded.some((left) => left.equals(path)),
      unreadable: () => undefined,
    };
    for (const { path } of walkTree(this.#target.root, rules)) {
      if (path.length === 0 || !this.#selection.has(path) || excluded.some((left) => left.equals(path) || isBelow(left, path))) continue;
      if (this.#hasAny && readInode(joinPath(this.#new, path)) !== undefined) continue;
      // What replaces something of another type takes all of it.
      if (this.#hasAny && isReplacedAbove(this.#new, path)) continue;
      removed.push({ act: "remove", path });
    }
    yield* removed;
  }

  /** Every directory above must be one, of the root's own file system. */
  #checkWay(path: Buffer): void {
    const { root } = this.#target;
    if (path.length === 0) return;
    const device = lstatSync(root).dev;
    for (let slash = path.indexOf(0x2f); slash !== -1; slash = path.indexOf(0x2f, slash + 1)) {
      const above = joinPath(root, path.subarray(0, slash));
      const stat = lstatSync(above, { throwIfNoEntry: false });
      if (stat === undefined || !stat.isDirectory()) throw createWayError(above);
      if (stat.dev !== device || isMountPoint(above)) {
        throw new HoldfastError("target-unsafe", `Cannot restore below ${escapePath(above)}: another file system is mounted there`, {
          hint: "Unmount it for the restore.",
        });
      }
    }
  }
}

function createWayError(path: Buffer): HoldfastError {
  return new HoldfastError(
    "target-unsafe",
    `Cannot restore below ${escapePath(path)}: it is a link, or no directory, and was a directory in the backup`,
    {
      hint: "Move it away, or choose it, too, with a --path of its own: then it is replaced.",
    },
  );
}

function isReplacedAbove(staged: string, path: Buffer): boolean {
  for (let slash = path.indexOf(0x2f); slash !== -1; slash = path.indexOf(0x2f, slash + 1)) {
    const stat = lstatSync(joinPath(staged, path.subarray(0, slash)), { throwIfNoEntry: false });
    if (stat !== undefined && !stat.isDirectory()) return true;
  }
  return false;
}

function isBelow(path: Buffer, directory: Buffer): boolean {
  return path.length > directory.length && path[directory.length] === 0x2f && path.subarray(0, directory.length).equals(directory);
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
