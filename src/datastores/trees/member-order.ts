import { failFormat, type MemberHeader } from "./tar-header.ts";
import { escapePath } from "./raw-path.ts";

/**
 * Accepts the members of a tree in the one order in which it is written (each directory before what is in it, names sorted by their
 * bytes), so that nothing can be twice in it, nothing can lie outside it, and nothing can be reached through a link. Keeps only the
 * way down to the present member, and the symbolic links.
 */
export class MemberOrder {
  /** Names from the top to the last member. */
  #way: readonly Buffer[] = [];
  #lastIsDirectory = false;
  #begun = false;
  readonly #symlinks = new Set<string>();

  /** Gives the member's path below the top, empty for the top itself. Throws `backup-damaged`. */
  accept(member: MemberHeader): Buffer {
    const path = readInnerPath(member.path);
    if (path.length === 0) {
      if (this.#begun || member.type !== "directory") throw failFormat("its top is not one directory");
      this.#begun = true;
      this.#lastIsDirectory = true;
      return path;
    }
    if (!this.#begun) throw failFormat("its top is missing");
    const names = splitPath(path);
    this.#checkPlace(names, path);
    this.#way = names;
    this.#lastIsDirectory = member.type === "directory";
    if (member.type === "symlink") this.#symlinks.add(path.toString("latin1"));
    if (member.type === "hardlink") this.#checkLink(member, path);
    return path;
  }

  #checkPlace(names: readonly Buffer[], path: Buffer): void {
    let shared = 0;
    while (shared < names.length && shared < this.#way.length && names[shared]?.equals(this.#way[shared] ?? Buffer.alloc(0)) === true)
      shared += 1;
    if (shared !== names.length - 1) throw failFormat(`${escapePath(path)} is twice in it, or its directory is missing`);
    const rival = this.#way[shared];
    const inLast = rival === undefined;
    if (inLast && !this.#lastIsDirectory) throw failFormat(`${escapePath(path)} lies below something that is no directory`);
    if (!inLast && Buffer.compare(names[shared] ?? Buffer.alloc(0), rival) <= 0) throw failFormat(`${escapePath(path)} is out of order`);
  }

  #checkLink(member: MemberHeader, path: Buffer): void {
    const target = readInnerPath(member.link ?? Buffer.alloc(0));
    const names = splitPath(target);
    for (let length = 1; length <= names.length; length += 1) {
      const part = Buffer.concat(names.slice(0, length).flatMap((name, index) => (index === 0 ? [name] : [Buffer.from("/"), name])));
      if (this.#symlinks.has(part.toString("latin1")) && length < names.length)
        throw failFormat(`the hard link ${escapePath(path)} goes through a symbolic link`);
    }
    if (target.length === 0) throw failFormat(`the hard link ${escapePath(path)} has no target`);
    // One more name of a symbolic link is one.
    if (this.#symlinks.has(target.toString("latin1"))) this.#symlinks.add(path.toString("latin1"));
  }
}

/** Strips the `./` that every member begins with, and the `/` that ends a directory. */
function readInnerPath(stored: Buffer): Buffer {
  if (stored[0] !== 0x2e || (stored.length > 1 && stored[1] !== 0x2f) || stored.includes(0))
    throw failFormat(`${escapePath(stored)} lies outside it`);
  return stored.subarray(2, stored.length > 2 && stored.at(-1) === 0x2f ? -1 : undefined);
}

function splitPath(path: Buffer): readonly Buffer[] {
  const names: Buffer[] = [];
  for (let start = 0; start <= path.length;) {
    const slash = path.indexOf(0x2f, start);
    const end = slash === -1 ? path.length : slash;
    const name = path.subarray(start, end);
    if (name.length === 0 || name.equals(Buffer.from(".")) || name.equals(Buffer.from("..")))
      throw failFormat(`${escapePath(path)} lies outside it`);
    names.push(name);
    start = end + 1;
  }
  return names;
}
