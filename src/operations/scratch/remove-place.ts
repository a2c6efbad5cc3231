import { readFileSync } from "node:fs";
import { realpath, rm } from "node:fs/promises";
import { HoldfastError, readErrno } from "../../base/errors.ts";

/**
 * Removes the files of a scratch place, and nothing that somebody has mounted there to look at both. Idempotent.
 * @throws restore-stuck while something is mounted in it
 */
export async function removePlace(directory: string): Promise<void> {
  const mount = findMount(await resolve(directory));
  if (mount !== undefined) {
    throw new HoldfastError("restore-stuck", `The scratch place ${directory} cannot be removed: ${mount} is mounted in it`, {
      hint: `Unmount it (umount ${mount}); the removal is then tried again, or asked for with \`holdfast scratch remove\`.`,
    });
  }
  await rm(directory, { recursive: true, force: true });
}

async function resolve(directory: string): Promise<string> {
  try {
    return await realpath(directory);
  } catch (error) {
    if (readErrno(error) === "ENOENT") return directory;
    throw error;
  }
}

/** The first mount point at or below a directory; bind mounts are in that table too, and in no device number. */
function findMount(directory: string): string | undefined {
  return readFileSync("/proc/self/mountinfo", "latin1")
    .split("\n")
    .flatMap((line) => line.split(" ")[4] ?? [])
    .map((field) => field.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8))))
    .map((path) => Buffer.from(path, "latin1").toString())
    .find((path) => path === directory || path.startsWith(`${directory}/`));
}
