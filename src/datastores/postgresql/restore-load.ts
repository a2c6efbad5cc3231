import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { HoldfastError } from "../../base/errors.ts";
import { openProgram } from "../../base/subprocess.ts";
import { prepareTool, type Access } from "./connection.ts";
import { openRowSession, type RowSession } from "./direct-session.ts";
import { createMark, feedPsql, type PsqlOutput } from "./feed-psql.ts";
import { sendRows, type Reach } from "./send-rows.ts";
import { stayIdleSql } from "./session.ts";
import { countLifting, edgeBytes, findBegin } from "./plain-edges.ts";
import { explainLoad } from "./restore-explain.ts";
import type { SpooledDump } from "./restore-spool.ts";
import { compareVersions, type Toolset } from "./tools.ts";

export interface LoadSettings {
  readonly toolset: Toolset;
  /** Parallel connections, where the dump can be loaded by several. */
  readonly jobs: number;
  /** Arguments that make pg_restore load only a part; everything by default. A dump in SQL is always loaded whole. */
  readonly selection?: readonly string[];
}

/** Below it a second connection costs more than it saves. */
const parallelBytes = 16 * 1024 * 1024;
/** The first versions of psql that can be told to run no commands of its own (CVE-2025-8714). */
const restrictVersions: Readonly<Record<number, string>> = { 13: "13.22", 14: "14.19", 15: "15.14", 16: "16.10", 17: "17.6" };
const pieceBytes = 1 << 18;

/**
 * Loads a dump into the database of `access`, which must be empty. The first error ends it.
 * @throws restore-failed, tool-missing, no-space, timeout, cancelled
 */
export async function loadDump(access: Access, dump: SpooledDump, settings: LoadSettings, signal: AbortSignal): Promise<void> {
  try {
    if (dump.kind === "custom" || dump.kind === "directory") await runPgRestore(relax(access), dump, settings, signal);
    else await runPsql(access, dump, settings.toolset, signal);
  } catch (error) {
    throw signal.aborted ? error : explainLoad(error);
  }
}

/** What is loaded becomes durable with the swap, which waits for the disk. */
function relax(access: Access): Access {
  const { connection } = access;
  const options = [connection.settings["options"], "-c synchronous_commit=off"].filter((each) => each !== undefined).join(" ");
  return { ...access, connection: { ...connection, settings: { ...connection.settings, options } } };
}

async function runPgRestore(
  access: Access,
  dump: SpooledDump,
  { toolset, jobs, selection = [] }: LoadSettings,
  signal: AbortSignal,
): Promise<void> {
  // A container has none of our files: then the dump comes by standard input, which only one connection can read.
  const isRemote = access.via !== undefined;
  const { database = "" } = access.connection;
  const args = [
    "--exit-on-error",
    "--no-password",
    ...(access.connection.settings["service"] === undefined ? [`--dbname=dbname='${database.replaceAll(/[\\']/g, String.raw`\$&`)}'`] : []),
    ...(!isRemote && jobs > 1 && dump.bytes >= parallelBytes ? [`--jobs=${jobs}`] : []),
    ...selection,
    ...(isRemote ? [] : [dump.path]),
  ];
  const tool = prepareTool(access, toolset.path("pg_restore"), args);
  await using file = isRemote ? await open(dump.path) : undefined;
  await using program = openProgram(
    tool.program,
    tool.args,
    { ...tool.options, ...(file === undefined ? {} : { stdin: file.fd }) },
    signal,
  );
  program.stdout?.resume();
  await program.finished;
}

/** Throws `tool-missing` for a psql that runs what a dump tells it to run. */
function requireRestrict({ major, version }: Toolset): void {
  const needed = restrictVersions[major];
  if (major >= 18 || (needed !== undefined && compareVersions(version, needed) >= 0)) return;
  throw new HoldfastError("tool-missing", `psql ${version} would run commands that a dump could hold`, {
    hint: `Update the package postgresql-client-${major}: SQL is only loaded by psql 13.22, 14.19, 15.14, 16.10, 17.6, 18 and newer.`,
  });
}

/**
 * SQL goes through a psql that was told by a key of our own to run no command of a dump, and that says at the end that it has come so
 * far: it would take the end of its input for the end of a COPY.
 */
async function runPsql(access: Access, dump: SpooledDump, toolset: Toolset, signal: AbortSignal): Promise<void> {
  requireRestrict(toolset);
  const key = randomBytes(24).toString("hex");
  const psql = toolset.path("psql");
  if (dump.script === undefined) {
    await feedPsql(relax(access), psql, () => restrict(readWithin(dump), key), signal);
    return;
  }
  const script = dump.script();
  const openRows = (): Promise<RowSession | undefined> => openRowSession(access, signal);
  await feedPsql(relax(access), psql, (output) => restrict(sendRows(script, openRows, createReach(output, key)), key), signal);
}

async function* restrict(text: AsyncIterable<Uint8Array | string>, key: string): AsyncGenerator<Uint8Array | string, void, undefined> {
  yield `${stayIdleSql};\n\\restrict ${key}\n`;
  yield* text;
  yield `\n\\unrestrict ${key}\n`;
}

/** What is restricted by a key of ours. A line for psql itself is heard in the midst of a statement, too: then all is not done before it. */
function createReach(output: PsqlOutput, key: string): Reach {
  return async function* reach() {
    const [done, heard] = [createMark(), createMark()];
    yield `SELECT '${done}';\n\\unrestrict ${key}\n\\echo ${heard}\n\\restrict ${key}\n`;
    if (!(await output.await(heard))) return false;
    if (output.has(done)) return true;
    throw new HoldfastError("restore-failed", "psql takes a statement before some rows of the dump for one that has not ended", {
      hint: "Was the dump edited? Take it out with --to DIR, and load it by hand.",
    });
  };
}

/** A dump of a single database, without its own restriction. */
async function* readWithin(dump: SpooledDump): AsyncGenerator<Uint8Array, void, undefined> {
  await using file = await open(dump.path);
  const { size } = await file.stat();
  const head = Buffer.alloc(Math.min(size, edgeBytes));
  await file.read(head, 0, head.length, 0);
  const begin = findBegin(head);
  const tail = Buffer.alloc(Math.min(size - begin, edgeBytes));
  await file.read(tail, 0, tail.length, size - tail.length);
  const end = size - countLifting(tail);
  for (let at = begin; at < end;) {
    const piece = Buffer.allocUnsafe(Math.min(pieceBytes, end - at));
    const { bytesRead } = await file.read(piece, 0, piece.length, at);
    if (bytesRead === 0) throw new HoldfastError("internal", "the staged dump became shorter");
    yield piece.subarray(0, bytesRead);
    at += bytesRead;
  }
}
