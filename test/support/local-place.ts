import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { localDestination } from "../../src/destinations/local/local-destination.ts";
import type { Destination } from "../../src/destinations/contract.ts";
import type { DestinationFixture, DestinationPlace } from "../contracts/destination/fixture.ts";

/** A directory in a temporary one, for a local destination. */
export class LocalPlace implements DestinationPlace {
  readonly #parent: string;
  readonly root: string;
  readonly #mounts: string[] = [];

  constructor() {
    this.#parent = mkdtempSync(join(tmpdir(), "place-"));
    this.root = join(this.#parent, "vault");
    mkdirSync(this.root, { mode: 0o750 });
  }

  async open(name: string): Promise<Destination> {
    return await localDestination.configure({ path: this.root }).open({ name });
  }

  async unmark(): Promise<void> {
    rmSync(join(this.root, ".holdfast-destination.json"));
  }

  async vanish(): Promise<void> {
    rmSync(this.root, { recursive: true });
  }

  async plant(key: string, body: string): Promise<void> {
    mkdirSync(dirname(join(this.root, key)), { recursive: true });
    writeFileSync(join(this.root, key), body);
  }

  /** Files, hidden ones too, and hidden directories; the marker and what the file system puts there are left out. */
  async listEverything(): Promise<readonly string[]> {
    const entries = readdirSync(this.root, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => (!entry.isDirectory() || entry.name.startsWith(".")) && entry.name !== ".holdfast-destination.json")
      .map((entry) => join(entry.parentPath, entry.name).slice(this.root.length + 1))
      .toSorted();
  }

  /** Mounts something on the root; it is unmounted when the place is closed. */
  mount(...args: readonly string[]): void {
    runOrThrow("mount", [...args, this.root]);
    this.#mounts.push(this.root);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.#mounts.toReversed()) runOrThrow("umount", [path]);
    rmSync(this.#parent, { recursive: true, force: true });
  }
}

export const localFixture: DestinationFixture = {
  async openPlace() {
    return new LocalPlace();
  },
  faults: {
    async openSmallPlace(bytes) {
      const place = new LocalPlace();
      place.mount("-t", "tmpfs", "-o", `size=${bytes},mode=0750`, "tmpfs");
      return place;
    },
    async makeReadOnly(place) {
      if (!(place instanceof LocalPlace)) throw new Error("not a local place");
      runOrThrow("mount", ["--bind", place.root, place.root]);
      runOrThrow("mount", ["-o", "remount,bind,ro", place.root]);
      return async () => runOrThrow("umount", [place.root]);
    },
  },
};

export function runOrThrow(program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stderr}`);
}
