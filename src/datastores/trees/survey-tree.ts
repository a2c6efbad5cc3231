import { setImmediate } from "node:timers/promises";
import type { Note } from "../../base/note.ts";
import { createAbortError } from "../../base/subprocess.ts";
import { compileGlob } from "../../base/glob.ts";
import { listMountPoints } from "./mounts.ts";
import { decodeForMatching, escapePath, joinPath } from "./raw-path.ts";
import { type WalkedEntry, walkTree } from "./walk-tree.ts";

/** What restores leave beside their target until they are settled; never part of a backup. */
export const restoreAreaName = /^\.holdfast-[0-9a-z]{20}(-removed)?$/;

/** A scratch place in a state directory: what is restored to be looked into is never part of a backup. */
export const scratchPlacePath = /(?:^|\/)scratch\/[0-9a-hjkmnp-tv-z]{20}$/;

export interface SurveyOptions {
  readonly exclude: readonly string[];
  readonly oneFileSystem: boolean;
}

export interface TreeSurvey {
  /** Below the root: what is not to be read. Nothing below an excluded directory is listed. */
  readonly excluded: readonly Buffer[];
  /** Resolved mount points below the root, absolute. */
  readonly mounts: readonly Buffer[];
  /** Entries that are to be read, without the root. */
  readonly entries: number;
  /** Upper estimate of the tar's bytes. */
  readonly tarBytes: number;
  readonly fileBytes: number;
  /** As a tar of the tree has them: further names of one file are no files, and hold nothing. */
  readonly distinct: { readonly files: number; readonly bytes: number };
  /** Of files and directories, the root included. */
  readonly newestChangeAtMs: number;
  readonly device: number;
  readonly notes: readonly Note[];
}

const batchEntries = 2_000;
const namedAtMost = 20;
/** GNU tar writes longer paths but cannot extract them; it puts `./` before and a NUL after. */
const pathLimitBytes = 4_093;
const sqliteMagic = Buffer.from("SQLite format 3\0");

/** Looks at a tree without reading its files. Throws what opening the root throws. */
export async function surveyTree(root: Buffer | string, options: SurveyOptions, signal: AbortSignal): Promise<TreeSurvey> {
  const survey = new Survey(Buffer.from(root), options);
  let seen = 0;
  for (const entry of walkTree(root, { enter: (directory) => survey.enters(directory), unreadable: () => undefined })) {
    survey.add(entry);
    seen += 1;
    if (seen % batchEntries !== 0) continue;
    await setImmediate();
    if (signal.aborted) throw createAbortError(signal, "The survey of the tree was stopped");
  }
  return survey.finish();
}

class Survey {
  readonly #root: Buffer;
  readonly #globs: readonly RegExp[];
  readonly #oneFileSystem: boolean;
  readonly #mounts: readonly Buffer[];
  readonly #mountNames: ReadonlySet<string>;
  readonly #excluded: Buffer[] = [];
  readonly #skipped = new Set<string>();
  readonly #named: Record<"sockets" | "linked" | "devices" | "databases" | "clusters" | "mounts" | "areas" | "deep", string[]> = {
    sockets: [],
    linked: [],
    devices: [],
    databases: [],
    clusters: [],
    mounts: [],
    areas: [],
    deep: [],
  };
  #device: bigint | undefined;
  /** A bind mount of the same device that is being walked: its entries are left out one by one. */
  #foreignParent: string | undefined;
  #entries = 0;
  #fileBytes = 0;
  readonly #distinct = { files: 0, bytes: 0 };
  readonly #linked = new Set<string>();
  #newestNs = 0n;
  #tarBytes = 0;

  constructor(root: Buffer, options: SurveyOptions) {
    this.#root = root;
    this.#globs = options.exclude.map((pattern) => compileGlob(pattern, "match-dots"));
    this.#oneFileSystem = options.oneFileSystem;
    this.#mounts = listMountPoints(root).filter((path) => !path.equals(root));
    this.#mountNames = new Set(this.#mounts.map((path) => path.toString("latin1")));
  }

  enters(entry: WalkedEntry): boolean {
    return !this.#skipped.has(entry.path.toString("latin1"));
  }

  add(entry: WalkedEntry): void {
    this.#device ??= entry.stat.dev;
    if (entry.path.length > 0 && this.#leavesOut(entry)) return;
    if (entry.stat.mtimeNs > this.#newestNs) this.#newestNs = entry.stat.mtimeNs;
    if (entry.path.length === 0) return;
    this.#entries += 1;
    this.#tarBytes += 1536 + 2 * entry.path.length;
    this.#classify(entry);
  }

  finish(): TreeSurvey {
    return {
      excluded: this.#excluded,
      mounts: this.#mounts,
      entries: this.#entries,
      tarBytes: this.#tarBytes + 20 * 1024,
      fileBytes: this.#fileBytes,
      distinct: this.#distinct,
      newestChangeAtMs: Number(this.#newestNs / 1_000_000n),
      device: Number(this.#device ?? 0n),
      notes: this.#describeFindings(),
    };
  }

  #leavesOut(entry: WalkedEntry): boolean {
    const parent = entry.path.subarray(0, Math.max(entry.path.lastIndexOf(0x2f), 0));
    const name = entry.path.subarray(entry.path.lastIndexOf(0x2f) + 1).toString("latin1");
    const area = entry.stat.isDirectory() && (restoreAreaName.test(name) || scratchPlacePath.test(entry.path.toString("latin1")));
    if (area) this.#named.areas.push(escapePath(entry.path));
    const deep = entry.path.length > pathLimitBytes;
    if (deep) this.#named.deep.push(`${escapePath(entry.path.subarray(0, 100))}… (${entry.path.length} bytes)`);
    const text = this.#globs.length === 0 ? "" : decodeForMatching(entry.path);
    if (area || deep || this.#foreignParent === parent.toString("latin1") || this.#globs.some((glob) => glob.test(text))) {
      this.#excluded.push(entry.path);
      this.#skipped.add(entry.path.toString("latin1"));
      return true;
    }
    if (this.#oneFileSystem && entry.stat.isDirectory() && this.#isMount(entry)) {
      this.#named.mounts.push(escapePath(entry.path));
      // Tar itself stays off other devices; of a bind mount of the same device it must be told each entry.
      if (entry.stat.dev === this.#device) this.#foreignParent = entry.path.toString("latin1");
      else this.#skipped.add(entry.path.toString("latin1"));
    }
    return false;
  }

  #isMount(entry: WalkedEntry): boolean {
    if (entry.stat.dev !== this.#device) return true;
    return this.#mountNames.size > 0 && this.#mountNames.has(joinPath(this.#root, entry.path).toString("latin1"));
  }

  #classify(entry: WalkedEntry): void {
    const { stat } = entry;
    if (stat.isSocket()) this.#named.sockets.push(escapePath(entry.path));
    if (stat.isBlockDevice() || stat.isCharacterDevice()) this.#named.devices.push(escapePath(entry.path));
    // GNU tar keeps the further names of files and symbolic links only.
    if (stat.nlink > 1n && (stat.isFIFO() || stat.isBlockDevice() || stat.isCharacterDevice()))
      this.#named.linked.push(escapePath(entry.path));
    if (!stat.isFile()) return;
    const bytes = Number(stat.size);
    this.#countDistinct(stat, bytes);
    this.#fileBytes += bytes;
    this.#tarBytes += Math.min(bytes, Number(stat.blocks) * 512 + 64 * 1024);
    // The size of a SQLite database is a multiple of its page size.
    if (bytes > 0 && bytes % 512 === 0 && entry.readHead(16)?.equals(sqliteMagic) === true)
      this.#named.databases.push(escapePath(entry.path));
    if (entry.path.subarray(-10).equals(Buffer.from("PG_VERSION"))) this.#named.clusters.push(escapePath(entry.path));
  }

  #countDistinct({ dev, ino, nlink }: WalkedEntry["stat"], bytes: number): void {
    if (nlink > 1n) {
      const inode = `${dev}:${ino}`;
      if (this.#linked.has(inode)) return;
      this.#linked.add(inode);
    }
    this.#distinct.files += 1;
    this.#distinct.bytes += bytes;
  }

  #describeFindings(): readonly Note[] {
    const { sockets, linked, devices, databases, clusters, mounts, areas, deep } = this.#named;
    const notes: readonly (readonly [readonly string[], Note["level"], string, string])[] = [
      [sockets, "info", "socket-not-kept", "Sockets are not kept"],
      [linked, "info", "link-not-kept", "Each name of a pipe or device that has several comes back as one of its own"],
      [devices, "warning", "device", "Device nodes are kept, but restored only with `devices: true`"],
      [databases, "warning", "live-sqlite", "A copy of a SQLite database in use may be torn; declare a datastore of kind sqlite for"],
      [clusters, "warning", "live-postgres", "A copy of a running PostgreSQL cluster is torn; declare a datastore of kind postgres for"],
      [mounts, "warning", "mount-left-out", "Other file systems are left out (`oneFileSystem: false` takes them in)"],
      [deep, "partial", "path-not-kept", "Paths longer than 4,096 bytes are left out, because tar cannot restore them"],
      [areas, "info", "restore-area-left-out", "What an earlier restore put aside is left out"],
    ];
    return notes.flatMap(([names, level, code, text]) =>
      names.length === 0 ? [] : [{ level, code, message: `${text}: ${describeNames(names)}` }],
    );
  }
}

export function describeNames(names: readonly string[]): string {
  const more = names.length - namedAtMost;
  return names.slice(0, namedAtMost).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
