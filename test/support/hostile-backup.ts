import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { sealJson, unsealJson } from "../../src/archive/sealed-json.ts";
import type { Manifest } from "../../src/archive/manifest.ts";
import type { BackupResult } from "../../src/operations/backup.ts";
import { worldPaths, type SmallWorld } from "./small-world.ts";

type Mutable<T> = T extends object ? { -readonly [Key in keyof T]: Mutable<T[Key]> } : T;
export type Lie = Mutable<Manifest>;

/** Rewrites a backup's manifest and seals it well: whoever can write to the destination can do that. */
export function forgeManifest({ root }: SmallWorld, backup: BackupResult, lie: (manifest: Lie) => unknown): void {
  const path = join(worldPaths(root).vault, backup.manifestKey);
  const manifest = unsealJson(readFileSync(path), path).value as Lie;
  const replaced = lie(manifest);
  writeFileSync(path, sealJson(replaced ?? manifest));
}

/** Replaces the stored bytes of the first entry, with measures that fit. */
export function forgeEntry(world: SmallWorld, backup: BackupResult, stored: Uint8Array, plain: Uint8Array = stored): void {
  const measure = (bytes: Uint8Array) => ({ bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") });
  forgeManifest(world, backup, (manifest) => {
    const entry = manifest.members[0]?.entries[0];
    if (entry === undefined) throw new Error("no entry");
    entry.stored = measure(stored);
    entry.plain = measure(plain);
    const path = join(worldPaths(world.root).vault, dirname(backup.manifestKey), entry.object);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, stored);
  });
}

export interface TarMember {
  readonly name: string;
  /** `0` file, `1` hard link, `2` symbolic link, `3` character device, `4` block device, `5` directory, `6` FIFO. */
  readonly type: string;
  readonly link?: string;
  readonly mode?: number;
  readonly body?: string;
  /** What the header says instead of the body's length. */
  readonly size?: number;
}

/** A POSIX tar with checksums that are right, whatever else is in it. */
export function writeTar(members: readonly TarMember[]): Buffer {
  return Buffer.concat([...members.flatMap(writeMember), Buffer.alloc(1024)]);
}

function writeMember({ name, type, link = "", mode = 0o644, body = "", size }: TarMember): readonly Buffer[] {
  const header = Buffer.alloc(512);
  const content = Buffer.from(type === "0" ? body : "");
  header.write(name, 0, 100);
  header.write(`${mode.toString(8).padStart(7, "0")}\0`, 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${(size ?? content.length).toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000001\0", 136);
  header.write(" ".repeat(8), 148);
  header.write(type, 156);
  header.write(link, 157, 100);
  header.write("ustar\u000000", 257, "latin1");
  if (type === "3" || type === "4") {
    header.write("0000001\0", 329);
    header.write("0000003\0", 337);
  }
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
}
