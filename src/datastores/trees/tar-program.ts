import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { createAbortError, openProgram, streamProgram } from "../../base/subprocess.ts";
import { collectMessages } from "./tar-messages.ts";

/** Kept alike when written and when read. */
const attributeArgs = ["--xattrs", "--xattrs-include=*", "--acls", "--sparse", "--numeric-owner"];

export interface TarSource {
  readonly root: string;
  /** Below the root, not to be read. */
  readonly excluded: readonly Buffer[];
  readonly oneFileSystem: boolean;
  /** Where the list of what is excluded may be written. */
  readonly listPath: string;
}

/**
 * The tar of a tree, in canonical order. Ends normally only when tar has read to the end; files that changed, shrank, vanished or
 * could not be read are told as notes.
 */
export async function* streamTree(source: TarSource, signal: AbortSignal): AsyncGenerator<Uint8Array, readonly Note[], undefined> {
  const args = [
    "--create",
    "--file=-",
    "--format=posix",
    "--sort=name",
    "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
    ...attributeArgs,
    "--ignore-failed-read",
    "--blocking-factor=128",
    ...(source.oneFileSystem ? ["--one-file-system"] : []),
    ...(await writeExcludes(source)),
    "-C",
    source.root,
    ".",
  ];
  const messages = collectMessages(source.root);
  yield* streamProgram("tar", args, { accept: [0, 1], onStderrLine: messages.add }, signal);
  return messages.notes();
}

/** Names that one line of an exclude file cannot hold go into the argument list: tar strips white space at the end of a line. */
async function writeExcludes(source: TarSource): Promise<readonly string[]> {
  if (source.excluded.length === 0) return [];
  const odd = (path: Buffer): boolean => path.includes(0x0a) || /\s$/.test(path.toString("latin1"));
  const lines = source.excluded.filter((path) => !odd(path)).flatMap((path) => [Buffer.from("./"), path, Buffer.from("\n")]);
  await writeFile(source.listPath, Buffer.concat(lines), { mode: 0o600 });
  const named = source.excluded.filter(odd).map((path) => {
    const text = path.toString("utf8");
    if (!Buffer.from(text).equals(path))
      throw new HoldfastError("source-unreadable", "A name that is to be excluded has both a line break and bytes that are no UTF-8");
    return `--exclude=./${text}`;
  });
  return ["--anchored", "--no-wildcards", "--exclude-from", source.listPath, ...named];
}

/** Extracts what `pieces` yields into a directory that was made for it and is empty. Whoever yields must have checked every header. */
export async function extractTree(pieces: AsyncIterable<Uint8Array>, directory: string, signal: AbortSignal): Promise<void> {
  await extractMembers(pieces, directory, [], signal);
}

/** The same of these members alone, by their names in the archive; of all where none is named. @throws tool-failed for one that is not there */
export async function extractMembers(
  pieces: AsyncIterable<Uint8Array>,
  directory: string,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const args = [
    "--extract",
    "--file=-",
    ...attributeArgs,
    "--same-owner",
    "--same-permissions",
    "--delay-directory-restore",
    "--blocking-factor=128",
    "-C",
    directory,
    ...(names.length === 0 ? [] : ["--no-wildcards", "--", ...names]),
  ];
  await using program = openProgram("tar", args, { stdin: "pipe" }, signal);
  const { stdin, stdout } = program;
  if (stdin === null) throw new HoldfastError("internal", "tar has no standard input");
  stdout?.resume();
  // Its end, which says more, is awaited below.
  let broken = false;
  stdin.on("error", () => {
    broken = true;
  });
  for await (const piece of pieces) {
    if (broken || signal.aborted) break;
    if (piece.length > 0 && !stdin.write(piece))
      await Promise.race([once(stdin, "drain").catch(() => undefined), program.finished.catch(() => undefined)]);
  }
  if (signal.aborted) throw createAbortError(signal, "The extraction was stopped");
  stdin.end();
  await program.finished;
  // What came after would have been read by nobody: neither its hash nor whether it is whole.
  if (broken) throw new HoldfastError("tool-failed", "tar ended before the archive did");
}

/** Makes everything in a directory's file system durable. */
export async function syncTree(directory: string, signal: AbortSignal): Promise<void> {
  for await (const _ of streamProgram("sync", ["--file-system", directory], {}, signal)) void _;
}

export function createListPath(stagingDir: string): string {
  return join(stagingDir, "excluded");
}
