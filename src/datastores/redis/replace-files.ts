import { chmod, link, lstat, mkdir, open, rename, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { syncDirectory } from "../../base/atomic-file.ts";
import { HoldfastError, readErrno } from "../../base/errors.ts";
import type { SwapStep } from "../contract.ts";
import { giveTo, readOwner } from "./file-owner.ts";
import type { ServerFiles } from "./server-files.ts";
import { formerName, type PlaceStep } from "./swap-steps.ts";

type Record = (step: SwapStep) => Promise<void>;

/**
 * Puts a staged RDB, and append-only files that begin with it where the server has such, in the place of a stopped server's files.
 * What was there lies in `directory` afterwards, which must be on the same file system.
 * @param source where the server is, for a roll-back that has no options
 * @param staged nothing: what is there is put aside only
 */
export async function replaceFiles(
  { files, source }: { readonly files: ServerFiles; readonly source: string },
  staged: string | undefined,
  directory: string,
  record: Record,
): Promise<void> {
  const { rdb, aof } = files;
  const owner = await readOwner(rdb);
  if (staged !== undefined) {
    await giveTo(staged, owner);
    await chmod(staged, owner.mode);
  }
  const stagedAof = staged === undefined || aof === undefined ? undefined : await stageAof(aof, staged, directory, owner);
  const old = join(directory, formerName);
  await mkdir(old, { mode: 0o700 });
  await syncDirectory(directory);
  for (const target of [...(aof === undefined ? [] : [aof.path]), rdb]) {
    if (!(await isThere(target))) continue;
    await refuseElsewhere(target, directory);
    const to = join(old, basename(target));
    await record({ op: "move", from: target, to, source });
    await rename(target, to);
    await syncDirectory(dirname(target));
    await syncDirectory(old);
  }
  if (staged !== undefined) await place({ from: staged, to: rdb, source }, record);
  if (stagedAof !== undefined && aof !== undefined) await place({ from: stagedAof, to: aof.path, source }, record);
}

async function place({ from, to, source }: Omit<PlaceStep, "op">, record: Record): Promise<void> {
  await record({ op: "place", from, to, ...(source === undefined ? {} : { source }) });
  if (await isThere(to)) {
    throw new HoldfastError("target-in-use", `another program has created ${to}`, {
      hint: "Keep the server stopped during a restore of its files.",
    });
  }
  await rename(from, to);
  await syncDirectory(dirname(to));
}

/** Append-only files whose base is the RDB: beside an empty one the server would start empty (an RDB alone does not count then). */
async function stageAof(
  { path: former, form, prefix }: NonNullable<ServerFiles["aof"]>,
  rdb: string,
  directory: string,
  owner: Awaited<ReturnType<typeof readOwner>>,
): Promise<string> {
  const staged = join(directory, "aof");
  if (form === "file") {
    await link(rdb, staged);
    return staged;
  }
  await mkdir(staged, { mode: 0o700 });
  await giveTo(staged, owner);
  // Whatever our umask is.
  await chmod(staged, await readMode(former, 0o750));
  const [base, increment] = [`${prefix}.1.base.rdb`, `${prefix}.1.incr.aof`];
  await link(rdb, join(staged, base));
  const texts = [
    [increment, ""],
    [`${prefix}.manifest`, `file ${base} seq 1 type b\nfile ${increment} seq 1 type i\n`],
  ] as const;
  for (const [name, text] of texts) {
    const path = join(staged, name);
    await using file = await open(path, "wx", 0o600);
    await file.chmod(owner.mode);
    await writeFile(file, text);
    await file.sync();
    await giveTo(path, owner);
  }
  await syncDirectory(staged);
  return staged;
}

async function refuseElsewhere(target: string, directory: string): Promise<void> {
  const [one, other] = [await lstat(target), await lstat(directory)];
  // By the directory of a file: in overlay file systems files have a device number of their own.
  const { dev } = one.isFile() ? await lstat(dirname(target)) : one;
  if (dev === other.dev && !one.isSymbolicLink()) return;
  throw new HoldfastError("target-unsafe", `${target} is a link, or on another file system than the RDB file`, {
    hint: "Set rdbPath and aofDir to the files themselves, in one file system.",
  });
}

async function readMode(path: string, unknown: number): Promise<number> {
  return lstat(path).then(
    ({ mode }) => mode & 0o7777,
    () => unknown,
  );
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: unknown) => {
      if (readErrno(error) === "ENOENT" || readErrno(error) === "ENOTDIR") return false;
      throw error;
    },
  );
}
