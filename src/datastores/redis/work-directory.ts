import { randomBytes } from "node:crypto";
import { access, chmod, constants, mkdir, readFile, readlink, rm, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import { describeCause, HoldfastError, readErrno } from "../../base/errors.ts";
import type { RestoreOptions } from "../contract.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { isLocal, type Endpoint } from "./endpoint.ts";
import { readInfo, readSetting } from "./server-facts.ts";

const reserveBytes = 16 << 20;

/** Makes a hidden directory for one restore, recorded before it is there. */
export async function makeWorkDirectory(parent: string, record: RestoreOptions["record"]): Promise<string> {
  const path = join(parent, `.holdfast-redis-${randomBytes(6).toString("hex")}`);
  await record?.({ op: "stage", path });
  try {
    await mkdir(path);
    // Closed to others, whatever the umask is; a private server of another account works in it by its own directory.
    await chmod(path, 0o711);
    await syncDirectory(parent);
  } catch (error) {
    if (readErrno(error) === "ENOSPC" || readErrno(error) === "EDQUOT") throw error;
    throw new HoldfastError("target-unsafe", `nothing can be written in ${parent}: ${describeCause(error)}`, {
      cause: error,
      hint: "Give the account of Holdfast the right to, or set asideDir to another directory.",
    });
  }
  return path;
}

/** Holdfast's own state is on the same disk: it must not be filled up. @throws no-space */
export async function assertRoom(directory: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const freeBytes = bavail * bsize;
  if (neededBytes + reserveBytes <= freeBytes) return;
  throw new HoldfastError(
    "no-space",
    `the backup's data and the server's present data may need ${describeBytes(neededBytes)} in ${directory}, where ${describeBytes(freeBytes)} are free and ${describeBytes(reserveBytes)} must stay so`,
    { hint: "Free some space, or set asideDir to a directory on a larger disk.", details: { neededBytes, freeBytes } },
  );
}

export async function removeWorkDirectory(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 });
  await syncDirectory(dirname(path)).catch(() => undefined);
}

export async function isWritable(directory: string): Promise<boolean> {
  return access(directory, constants.W_OK).then(
    () => true,
    () => false,
  );
}

/**
 * The directory of a server on this machine, seen with its own eyes: a server in a container says a path too, which is another one here.
 * Undefined where that cannot be known.
 */
export async function findServerDirectory(connection: RedisConnection, endpoint: Endpoint): Promise<string | undefined> {
  if (!isLocal(endpoint)) return undefined;
  const directory = await readSetting(connection, "dir").catch(() => undefined);
  const pid = (await readInfo(connection, "server")).get("process_id");
  if (directory === undefined || pid === undefined) return undefined;
  const [name, works] = await Promise.all([
    readFile(`/proc/${pid}/comm`, "latin1").catch(() => ""),
    readlink(`/proc/${pid}/cwd`).catch(() => undefined),
  ]);
  return /redis|valkey/.test(name) && works === directory ? directory : undefined;
}
