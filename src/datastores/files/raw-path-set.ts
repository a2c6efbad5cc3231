/** Paths of any bytes below a root, with what lies above and below each. */
export class RawPathSet {
  readonly #paths = new Set<string>();
  readonly #above = new Set<string>();

  constructor(paths: Iterable<Buffer> = []) {
    for (const path of paths) this.add(path);
  }

  add(path: Buffer): void {
    const key = path.toString("latin1");
    this.#paths.add(key);
    for (const above of listAbove(key)) this.#above.add(above);
  }

  has(path: Buffer): boolean {
    return this.#paths.has(path.toString("latin1"));
  }

  /** Whether one of the paths lies below this one. */
  hasBelow(path: Buffer): boolean {
    return this.#above.has(path.toString("latin1"));
  }

  /** Whether this one lies below one of the paths. */
  hasAbove(path: Buffer): boolean {
    for (const above of listAbove(path.toString("latin1"))) if (this.#paths.has(above)) return true;
    return false;
  }
}

function* listAbove(key: string): Generator<string, void, undefined> {
  for (let slash = key.lastIndexOf("/"); slash > 0; slash = key.lastIndexOf("/", slash - 1)) yield key.slice(0, slash);
}
