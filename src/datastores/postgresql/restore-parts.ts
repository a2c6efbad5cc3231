import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import { HoldfastError } from "../../base/errors.ts";
import type { Identity } from "../../base/identity.ts";
import type { DriverContext, StoredEntry } from "../contract.ts";
import { splitCluster } from "./restore-cluster.ts";
import type { RoleStatements } from "./restore-roles.ts";
import { makeSpoolDirectory, readDatabase, spoolEntry, type SpooledDump } from "./restore-spool.ts";
import { openStreamedScript } from "./restore-stream.ts";
import { SqlScanner } from "./sql-scanner.ts";

/** One database of a member. What it is read from is there until the next one is asked for. */
export interface DumpPart {
  readonly dump: SpooledDump;
  /** Whether the dump says for itself which database it is of. */
  readonly origin: "entry" | "cluster";
  /** What a dump of a whole server says of the database itself. */
  readonly statements: readonly string[];
}

export interface PartSettings {
  /** Of the account that loads them. */
  readonly identity: Identity | null;
  /** `stream`: a large dump in SQL need not be known to its end before it is loaded, once, by whoever asks for the part. */
  readonly large: "spool" | "stream";
}

/** Takes a member apart into databases, one after the other; what it says of roles is added to `roles` before the first of them. */
export async function* readParts(
  entries: AsyncIterable<StoredEntry>,
  context: DriverContext,
  { identity, large }: PartSettings,
  roles: RoleStatements,
  signal: AbortSignal,
): AsyncGenerator<DumpPart, void, undefined> {
  const directory = await makeSpoolDirectory(context.stagingDir, identity);
  try {
    let count = 0;
    for await (const entry of entries) {
      count += 1;
      const reportAs =
        (phase: string) =>
        (bytes: number): void =>
          context.progress({ phase, bytes, totalBytes: entry.bytes });
      const database = readDatabase(entry.sourcePath);
      await using streamed = large === "stream" ? await openStreamedScript(entry, database, reportAs("loading"), signal) : undefined;
      if (streamed !== undefined) {
        context.progress({ phase: "loading" });
        const { needs, parts } = streamed;
        yield {
          dump: { kind: "plain", path: "", name: entry.name, database, bytes: entry.bytes, needs, script: parts },
          origin: "entry",
          statements: [],
        };
        continue;
      }
      const dump = await spoolEntry(entry, directory, identity, reportAs("staging"), signal);
      context.progress({ phase: "loading" });
      if (dump.kind === "globals") await readGlobals(dump, roles, signal);
      else if (dump.kind === "cluster") {
        const onGlobal = (statement: string): void => roles.add(statement);
        for await (const { dump: part, statements } of splitCluster(dump, directory, identity, onGlobal, signal)) {
          yield { dump: part, origin: "cluster", statements };
          await rm(part.path, { force: true });
        }
      } else yield { dump, origin: "entry", statements: [] };
      await rm(dump.path, { recursive: true, force: true });
    }
    if (count === 0) throw new HoldfastError("backup-incomplete", "the backup has no dump");
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function readGlobals(dump: SpooledDump, roles: RoleStatements, signal: AbortSignal): Promise<void> {
  const scanner = new SqlScanner({
    onStatement: (text) => roles.add(text),
    onCommand: () => undefined,
    onComment: () => undefined,
    onRows: () => undefined,
  });
  for await (const chunk of createReadStream(dump.path, { signal })) scanner.push(chunk as Buffer);
  scanner.finish();
}
