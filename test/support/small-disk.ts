import { mkdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { runOrThrow } from "./local-place.ts";

/** A file system in memory of so many bytes at a path; closing unmounts it. Root only. */
export interface SmallDisk extends Disposable {
  readonly path: string;
  /** Takes space, or gives it back, so that so many bytes are free. */
  leave(bytes: number): void;
}

export function openSmallDisk(path: string, bytes: number): SmallDisk {
  mkdirSync(path, { recursive: true });
  runOrThrow("mount", ["-t", "tmpfs", "-o", `size=${bytes},mode=0755`, "tmpfs", path]);
  const filler = join(path, "filler");
  return {
    path,
    leave(leftBytes) {
      rmSync(filler, { force: true });
      const { bavail, bsize } = statfsSync(path);
      const taken = bavail * bsize - leftBytes;
      if (taken > 0) runOrThrow("fallocate", ["-l", String(taken), filler]);
    },
    [Symbol.dispose]() {
      runOrThrow("umount", ["--lazy", path]);
      rmSync(path, { recursive: true, force: true });
    },
  };
}
