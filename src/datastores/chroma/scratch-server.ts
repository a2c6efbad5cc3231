import { randomBytes } from "node:crypto";
import { accessSync, constants, existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { HoldfastError } from "../../base/errors.ts";
import { findFreePort } from "../../base/find-free-port.ts";
import { findProgram } from "../../base/find-program.ts";
import type { Identity } from "../../base/identity.ts";
import type { Note } from "../../base/note.ts";
import { openProgram, runProgram } from "../../base/subprocess.ts";
import { makeOwnedDirectory } from "../sqlite-files/staging.ts";
import { explainSpace } from "../trees/explain-fault.ts";
import { ChromaClient } from "./client.ts";
import type { ChromaOptions } from "./options.ts";

const startMs = 5 * 60_000;
const logLines = 100;
/** A server that loads foreign data runs as nobody: an index is read by programs that were not made for hostile ones. */
const nobody: Identity = { uid: 65_534, gid: 65_534, user: null };

/** How a server is started on a copy. */
export type ServerProgram =
  | { readonly kind: "program"; readonly path: string }
  | { readonly kind: "command"; readonly words: readonly string[] };

/** Where people put it who run it without a package. */
const usualPlaces = ["/opt/chroma/bin/chroma", "/opt/chroma/venv/bin/chroma"];

/** A drill that queries nothing would prove nothing. */
export function createNoProgramError(purpose: string): HoldfastError {
  return new HoldfastError("tool-missing", `there is no Chroma server program here to ${purpose}`, {
    hint: `Install \`chroma\` where PATH leads to it, or as ${usualPlaces[0]}: drills run no program that only a backup names.`,
  });
}

/** Of a directory that is copied all the same. */
export const noProgramNote: Note = {
  level: "warning",
  code: "indexes-not-proven",
  message: "The indexes are not queried, because there is no Chroma server program here: install `chroma`, or set `server`",
};

/** Undefined where nothing was named and no `chroma` is in PATH. @throws tool-missing for one that was named and is not there */
export function findServerProgram({ server }: Pick<ChromaOptions, "server">): ServerProgram | undefined {
  if (Array.isArray(server)) return { kind: "command", words: server };
  if (server === undefined) {
    const path = findProgram("chroma") ?? usualPlaces.find((place) => existsSync(place));
    return path === undefined ? undefined : { kind: "program", path };
  }
  try {
    accessSync(server, constants.X_OK);
  } catch (error) {
    throw new HoldfastError("tool-missing", `the Chroma server ${server} cannot be run`, { hint: "Correct `server`.", cause: error });
  }
  return { kind: "program", path: server };
}

/** A server of our own on a copy of the data, on a loopback port. Closing it kills it and removes the copy; it dies with this process. */
export interface ScratchServer extends AsyncDisposable {
  readonly client: ChromaClient;
}

/** @throws restore-failed when it does not come up, in its own words; no-space */
export async function openScratchServer(
  data: { readonly program: ServerProgram; readonly root: string; readonly stagingDir: string },
  signal: AbortSignal,
): Promise<ScratchServer> {
  await using resources = new AsyncDisposableStack();
  const identity = data.program.kind === "program" && process.geteuid?.() === 0 ? nobody : null;
  const place = await makeOwnedDirectory(data.stagingDir, identity);
  resources.defer(() => rm(place, { recursive: true, force: true, maxRetries: 3 }));
  const copy = join(place, "data");
  // Without owners and rights of the source: the copy is nobody's, and goes away.
  const copying = ["--recursive", "--reflink=auto", "--no-dereference", "--no-target-directory", "--", data.root, copy];
  await runProgram("cp", copying, {}, signal).catch((error: unknown) => {
    throw explainSpace(error, "Cannot copy the data for a private Chroma server");
  });
  if (identity !== null)
    await runProgram("chown", ["--recursive", "--no-dereference", `${identity.uid}:${identity.gid}`, "--", copy], {}, signal);
  await runProgram("chmod", ["--recursive", "u+rwX", "--", copy], {}, signal);
  const port = await findFreePort("127.0.0.1");
  const server = resources.use(startServer(data.program, { copy, place, port, identity }, signal));
  const client = new ChromaClient({ url: `http://127.0.0.1:${port}`, headers: {} });
  await client.waitUntilUp(startMs, signal, server.ended);
  const owned = resources.move();
  return { client, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

interface StartedServer extends AsyncDisposable {
  /** Rejects when it ends. */
  readonly ended: Promise<never>;
}

function startServer(
  program: ServerProgram,
  {
    copy,
    place,
    port,
    identity,
  }: { readonly copy: string; readonly place: string; readonly port: number; readonly identity: Identity | null },
  signal: AbortSignal,
): StartedServer {
  const runArgs = ["run", "--host", "127.0.0.1", "--port", String(port), "--path", copy];
  const [path, args] =
    program.kind === "program" ? [program.path, runArgs] : fillCommand(program.words, { path: copy, port: String(port) }, runArgs);
  const log: string[] = [];
  const keep = (line: string): void => {
    log.push(line);
    log.splice(0, Math.max(0, log.length - logLines));
  };
  const running = openProgram(
    path,
    args,
    {
      cwd: place,
      // It must tell nobody, and keep what it makes to its own place. `IS_PERSISTENT` and the like are for servers before 1.0.
      env: { ANONYMIZED_TELEMETRY: "False", HOME: place, TMPDIR: place, IS_PERSISTENT: "TRUE", PERSIST_DIRECTORY: copy },
      onStderrLine: keep,
      ...(identity === null ? {} : { uid: identity.uid, gid: identity.gid }),
    },
    signal,
  );
  running.stdout?.setEncoding("utf8").on("data", (text: string) => text.split("\n").forEach(keep));
  const ended = running.finished.then(
    () => {
      throw new HoldfastError("restore-failed", describeEnd(path, log));
    },
    (error: unknown) => {
      if (error instanceof HoldfastError && error.code === "tool-failed")
        throw new HoldfastError("restore-failed", describeEnd(path, log), { cause: error });
      throw error;
    },
  );
  ended.catch(() => undefined);
  return {
    ended,
    async [Symbol.asyncDispose]() {
      // Its data is a copy that goes away, and some versions spin at SIGTERM. A command may have to stop what it started elsewhere.
      if (program.kind === "program" && running.pid !== undefined) kill(running.pid);
      await running[Symbol.asyncDispose]();
    },
  };
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

function fillCommand(
  words: readonly string[],
  values: { readonly path: string; readonly port: string },
  runArgs: readonly string[],
): readonly [string, readonly string[]] {
  const holds = words.some((word) => word.includes("{path}") || word.includes("{port}"));
  const [first = "", ...rest] = words.map((word) => word.replaceAll("{path}", values.path).replaceAll("{port}", values.port));
  return [first, holds ? rest : [...rest, ...runArgs]];
}

// The logo and the colours of its log.
const noise = /[(#]{2,}|^\s*$|^\s*at rust\//;

function describeEnd(program: string, log: readonly string[]): string {
  const lines = log.map((line) => stripVTControlCharacters(line).trim()).filter((line) => !noise.test(line));
  return `a private ${program} ended before it answered: ${lines.slice(-3).join("; ") || "it gave no reason"}`;
}

/** Of a directory's name: no two are alike, so that nobody finds them who was not told. */
export function createPrivateName(prefix: string): string {
  return `${prefix}-${randomBytes(6).toString("hex")}`;
}
