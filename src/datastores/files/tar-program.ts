import { once } from "node:events";
import { lstatSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import type { Note } from "../../base/note.ts";
import { createAbortError, openProgram, streamProgram } from "../../base/subprocess.ts";
import { joinPath } from "./raw-path.ts";

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
  const { stderr } = yield* streamProgram("tar", args, { accept: [0, 1] }, signal);
  return explainMessages(stderr, source.root);
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

const messages: readonly (readonly [RegExp, Note["level"], string, string])[] = [
  [/^(.*): file changed as we read it$/, "partial", "file-changed", "changed while it was read"],
  [/^(.*): File removed before we read it$/, "partial", "file-vanished", "vanished before it was read"],
  [
    /^(.*): File shrank by \d+ bytes?; padding with zeros$/,
    "partial",
    "file-shrank",
    "shrank while it was read; its end is zeros in the backup",
  ],
  [/^(.*): Warning: (?:Cannot|Read error) .*?: ?(.*)$/, "partial", "file-unreadable", "could not be read"],
  [/^(.*): Warning: .*$/, "partial", "file-unreadable", "could not be read"],
];

function explainMessages(stderr: string, root: string): readonly Note[] {
  return stderr
    .split("\n")
    .map((line) => line.replace(/^tar: /, ""))
    .filter((line) => line !== "" && !/: (?:socket ignored|file is on a different filesystem; not dumped)$/.test(line))
    .map((line) => explainMessage(line, root));
}

function explainMessage(line: string, root: string): Note {
  for (const [pattern, level, code, text] of messages) {
    const match = pattern.exec(line);
    if (match === null) continue;
    const name = (match[1] ?? "").replace(/^\.\//, "");
    if (code === "file-changed" && isDirectory(root, name))
      return { level: "info", code: "directory-changed", message: `Entries of ${name} came or went while it was read` };
    return { level, code, message: `${name === "" ? "." : name} ${text}${match[2] === undefined ? "" : `: ${match[2]}`}` };
  }
  return { level: "partial", code: "tar-message", message: `tar: ${line}` };
}

function isDirectory(root: string, escapedName: string): boolean {
  const bytes = Buffer.from(
    escapedName.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8))),
  );
  return lstatSync(joinPath(root, bytes), { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Extracts what `pieces` yields into a directory that was made for it and is empty. Whoever yields must have checked every header. */
export async function extractTree(pieces: AsyncIterable<Uint8Array>, directory: string, signal: AbortSignal): Promise<void> {
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
}

/** Makes everything in a directory's file system durable. */
export async function syncTree(directory: string, signal: AbortSignal): Promise<void> {
  for await (const _ of streamProgram("sync", ["--file-system", directory], {}, signal)) void _;
}

export function createListPath(stagingDir: string): string {
  return join(stagingDir, "excluded");
}
