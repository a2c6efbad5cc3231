import { rm } from "node:fs/promises";
import { basename } from "node:path";
import { emptyContents } from "../../base/contents.ts";
import type { Note } from "../../base/note.ts";
import { prefixError } from "../../base/prefix-error.ts";
import type { DriverContext, DumpEntry, DumpFacts } from "../contract.ts";
import { copyLive } from "./copy-live.ts";
import type { SqliteOptions } from "./options.ts";
import { createMissingError, readSourceFile } from "../sqlite-files/source-file.ts";

/** Copies the live database and yields the copy, which has been checked, as the one file of the member. */
export async function* dumpDatabase(
  options: SqliteOptions,
  context: DriverContext,
  signal: AbortSignal,
): AsyncGenerator<DumpEntry, DumpFacts, undefined> {
  const dumped = await dumpOnce(options, context, signal).catch((error: unknown) => {
    throw prefixError(`Cannot dump "${context.name}"`, error);
  });
  if (dumped === undefined) return { contents: emptyContents, checked: true, notes: [], absent: true };
  const { source, copy } = dumped;
  try {
    yield {
      name: options.entry ?? basename(options.path),
      form: "file",
      body: { kind: "file", path: copy.path, bytes: copy.bytes },
      sourcePath: options.path,
      attributes: source.attributes,
      finish: () => Promise.resolve([]),
    };
  } finally {
    // Large, and not needed once it is stored: the next datastore may need the space.
    await rm(copy.path, { force: true });
  }
  return { contents: copy.contents, checked: true, notes: [...describeAliases(options.path, source.names), ...copy.notes], absent: false };
}

async function dumpOnce(options: SqliteOptions, context: DriverContext, signal: AbortSignal) {
  const source = await readSourceFile(options.path);
  if (source === undefined && options.optional) return undefined;
  if (source === undefined) throw createMissingError(options.path);
  return { source, copy: await copyLive(options, source, context, signal) };
}

/** SQLite names the WAL after the name that a program uses: through another name of the file, what is in that WAL is not seen. */
function describeAliases(path: string, names: number): readonly Note[] {
  if (names <= 1) return [];
  return [
    {
      level: "warning",
      code: "hard-links",
      message: `${path} has ${names} names (hard links); changes that a program makes through another name may be missing until its WAL is written back`,
    },
  ];
}
