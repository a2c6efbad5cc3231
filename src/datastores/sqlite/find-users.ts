import { readFile, readdir, stat } from "node:fs/promises";
import type { FoundFile } from "./database-files.ts";

export interface FileUsers {
  readonly pids: readonly number[];
  /** False when some processes could not be looked into. */
  readonly complete: boolean;
}

/**
 * Processes that have one of these files open, ourselves apart: by their descriptors, and by the kernel's table of locks, which also tells
 * of processes whose descriptors we may not see (a WAL database is locked by each connection all the time).
 */
export async function findUsers(files: readonly FoundFile[]): Promise<FileUsers> {
  if (files.length === 0) return { pids: [], complete: true };
  const wanted = new Set(files.map(({ dev, ino }) => `${dev}:${ino}`));
  const pids = new Set(await findLockers(files));
  let complete = true;
  for (const name of (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry))) {
    const opened = await holdsOneOf(name, wanted);
    if (opened === true) pids.add(Number(name));
    if (opened === undefined) complete = false;
  }
  pids.delete(process.pid);
  return { pids: [...pids].sort((one, other) => one - other), complete };
}

async function holdsOneOf(pid: string, wanted: ReadonlySet<string>): Promise<boolean | undefined> {
  const directory = `/proc/${pid}/fd`;
  try {
    for (const descriptor of await readdir(directory)) {
      // Fails for a descriptor that was closed meanwhile; following the link opens nothing.
      const stats = await stat(`${directory}/${descriptor}`).catch(rethrowDenial);
      if (stats !== undefined && wanted.has(`${stats.dev}:${stats.ino}`)) return true;
    }
    return false;
  } catch (error) {
    return isDenial(error) ? undefined : false;
  }
}

function rethrowDenial(error: unknown): undefined {
  if (isDenial(error)) throw error;
}

function isDenial(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EACCES" || error.code === "EPERM");
}

/** The part that works for processes whose descriptors are closed to us. */
export async function findLockers(files: readonly FoundFile[]): Promise<readonly number[]> {
  const inodes = new Set(files.map(({ dev, ino }) => `${describeDevice(dev)}:${ino}`));
  const text = await readFile("/proc/locks", "utf8").catch(() => "");
  return text.split("\n").flatMap((line) => {
    const [, pid, inode] = / (\d+) ([0-9a-f]+:[0-9a-f]+:\d+) /.exec(line) ?? [];
    return pid !== undefined && inode !== undefined && inodes.has(inode) ? [Number(pid)] : [];
  });
}

/** As /proc/locks writes it: major and minor number in hexadecimal, two digits or more. */
function describeDevice(dev: number): string {
  const number = BigInt(dev);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn);
  const minor = (number & 0xffn) | ((number >> 12n) & ~0xffn);
  return [major, minor].map((part) => part.toString(16).padStart(2, "0")).join(":");
}
