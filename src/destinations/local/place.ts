import { constants, type Stats } from "node:fs";
import { lstat, mkdir, open, stat, statfs, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { describeCause, HoldfastError, readErrno, type ErrorCode } from "../../base/errors.ts";
import type { Owner } from "../../base/find-owner.ts";
import { parseKey } from "../parse-key.ts";

export interface PlaceSettings {
  readonly name: string;
  readonly root: string;
  readonly directoryMode: number;
  readonly fileMode: number;
  readonly owner: Owner | undefined;
}

const codes: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: "no-space",
  EDQUOT: "no-space",
  EFBIG: "no-space",
  EACCES: "destination-unwritable",
  EPERM: "destination-unwritable",
  EROFS: "destination-unwritable",
  ELOOP: "destination-unwritable",
};

/** The directory of a destination: paths of keys, durable creation with the declared modes, and what its errors mean. */
export class Place {
  readonly settings: PlaceSettings;

  constructor(settings: PlaceSettings) {
    this.settings = settings;
  }

  get root(): string {
    return this.settings.root;
  }

  pathOf(key: string): string {
    return join(this.root, ...parseKey(key));
  }

  /** For messages: `destination "local" (/var/backups/holdfast)`. */
  describe(): string {
    return `destination "${this.settings.name}" (${this.root})`;
  }

  /** Runs one step on the disk; a system error is classified, anything else comes out as it is. `doing` completes "Cannot …". */
  async attempt<Result>(doing: string, step: () => Promise<Result>): Promise<Result> {
    try {
      return await step();
    } catch (error) {
      if (!/^E[A-Z0-9]+$/.test(readErrno(error) ?? "")) throw error;
      throw await this.classify(doing, error);
    }
  }

  async classify(doing: string, thrown: unknown): Promise<HoldfastError> {
    if (thrown instanceof HoldfastError) return thrown;
    const errno = readErrno(thrown);
    if (errno === "ENOENT" && !(await isDirectory(this.root))) return this.missing();
    const message = `Cannot ${doing} in ${this.describe()}: ${errno === "ENOSPC" ? await this.#describeFullness() : describeCause(thrown)}`;
    const code = codes[errno ?? ""];
    const details = { directory: this.root, ...(errno === undefined ? {} : { errno }) };
    if (code === "no-space")
      return new HoldfastError(code, message, { hint: `Free space in ${this.root}, or let retention keep less.`, cause: thrown, details });
    if (code !== undefined)
      return new HoldfastError(code, message, {
        hint: `Give the service's user access to ${this.root}: it needs to read and to write there.`,
        cause: thrown,
        details,
      });
    return new HoldfastError("destination-failed", message, { cause: thrown, details });
  }

  missing(): HoldfastError {
    return new HoldfastError("destination-missing", `The directory of ${this.describe()} is not there`, {
      hint: `Mount it, or make it: holdfast destination init ${this.settings.name}`,
      details: { directory: this.root },
    });
  }

  async requireRoot(): Promise<Stats> {
    const found = await this.attempt("look for the directory", () => stat(this.root));
    if (!found.isDirectory()) throw this.missing();
    return found;
  }

  /** Directories of a key below the root, made where they are not there. A symbolic link on the way is refused. */
  async ensureFolder(folder: string): Promise<string> {
    let path = this.root;
    for (const component of parseKey(folder)) {
      path = join(path, component);
      await this.ensureDirectory(path);
    }
    return path;
  }

  /** Makes a directory durably, with the declared mode, unless it is there. */
  async ensureDirectory(path: string): Promise<void> {
    await this.attempt(`make the directory ${path}`, async () => {
      if (await this.#makeDirectory(path)) return;
      const found = await lstat(path);
      if (found.isDirectory()) return;
      throw new HoldfastError("destination-unwritable", `Cannot write to ${this.describe()}: ${path} is not a directory`, {
        hint: "Nothing is written through symbolic links; move what stands there out of the way.",
      });
    });
  }

  async #makeDirectory(path: string): Promise<boolean> {
    try {
      await mkdir(path, { mode: this.settings.directoryMode });
    } catch (error) {
      if (readErrno(error) === "EEXIST") return false;
      throw error;
    }
    await this.dressDirectory(path);
    await syncDirectory(dirname(path));
    return true;
  }

  /** Gives a directory that was just made its mode and owner; the caller makes it durable. */
  async dressDirectory(path: string): Promise<void> {
    const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      await this.#dress(directory, this.settings.directoryMode);
    } finally {
      await directory.close();
    }
  }

  /** Gives a new file its mode and owner and makes its content durable. A failed fsync is never tried again: the data may be gone. */
  async finishFile(file: FileHandle): Promise<void> {
    await this.#dress(file, this.settings.fileMode);
    await file.sync();
  }

  async #dress(handle: FileHandle, mode: number): Promise<void> {
    if (this.settings.owner !== undefined) await handle.chown(this.settings.owner.uid, this.settings.owner.gid);
    await handle.chmod(mode);
  }

  /** Refuses a key one of whose folders is a symbolic link or no directory. False when one is not there. */
  async checkFolders(key: string): Promise<boolean> {
    let path = this.root;
    for (const component of parseKey(key).slice(0, -1)) {
      path = join(path, component);
      const found = await lookUp(path);
      if (found === undefined) return false;
      if (found.isDirectory()) continue;
      throw new HoldfastError("destination-unwritable", `Cannot write to ${this.describe()}: ${path} is not a directory`, {
        hint: "Nothing is written through symbolic links; move what stands there out of the way.",
      });
    }
    return true;
  }

  async #describeFullness(): Promise<string> {
    try {
      const { files, ffree } = await statfs(this.root);
      if (files > 0 && ffree === 0) return "no inodes left on the file system (ENOSPC)";
    } catch {
      // only the wording is lost
    }
    return "no space left on the file system (ENOSPC)";
  }
}

/** What stands at a path, links not followed; undefined when nothing does. */
export async function lookUp(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    const errno = readErrno(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    throw error;
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false; // whatever the reason, it is not there to be used
  }
}
