import { createHash, randomBytes } from "node:crypto";
import { chown, link, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { findFreePort } from "../../base/find-free-port.ts";
import { HoldfastError } from "../../base/errors.ts";
import { describeDuration } from "../../base/parse-duration.ts";
import { findProgram } from "../../base/find-program.ts";
import { Secret } from "../../base/secret.ts";
import { createAbortError, openProgram, type RunningProgram } from "../../base/subprocess.ts";
import { openConnection } from "./connection.ts";
import type { RedisConnection } from "./redis-connection.ts";
import type { Endpoint } from "./endpoint.ts";
import type { RdbScan } from "./scan-rdb.ts";
import { readInfo, readVersion, type ServerVersion } from "./server-facts.ts";

const loadMs = 60 * 60_000;
const pollMs = 20;
/** A server that loads foreign data runs as nobody: the account of the machine's real servers could do them harm. */
const nobody = { uid: 65_534, gid: 65_534 };

/** How a replica is to reach it. */
export interface ScratchListener {
  readonly bind: string;
  /** Absent: a free one. */
  readonly port?: number | undefined;
  readonly password: Secret;
  /** The replica's `masteruser`; the default user without. */
  readonly user?: string | undefined;
}

export interface ScratchSettings {
  /** An existing directory of ours, on the file system of the RDB; one of the server's own is made in it. */
  readonly directory: string;
  /** Loaded before this server can be used; an empty dataset without. */
  readonly rdb?: { readonly path: string; readonly scan: RdbScan };
  readonly listener?: ScratchListener;
}

/** A server of our own, without persistence. Closing it stops it and removes its files; it dies with this process in any case. */
export interface ScratchServer extends AsyncDisposable {
  readonly connection: RedisConnection;
  readonly version: ServerVersion;
  /** 0 where nothing but its socket leads in. */
  readonly port: number;
  /** Its working directory, where it writes its RDB when told to. */
  readonly directory: string;
}

/** @throws tool-missing; restore-failed when it does not load the RDB, in its own words; timeout, cancelled */
export async function openScratchServer(settings: ScratchSettings, signal: AbortSignal): Promise<ScratchServer> {
  await using resources = new AsyncDisposableStack();
  const program = findServerProgram(settings.rdb?.scan);
  const directory = join(settings.directory, `holdfast-scratch-${randomBytes(6).toString("hex")}`);
  await mkdir(directory, { mode: 0o700 });
  resources.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 2 }));
  const foreign = process.geteuid?.() === 0;
  if (settings.rdb !== undefined) {
    await link(settings.rdb.path, join(directory, rdbName));
    if (foreign) await chown(join(directory, rdbName), nobody.uid, nobody.gid);
  }
  if (foreign) await chown(directory, nobody.uid, nobody.gid);
  const port = settings.listener === undefined ? 0 : (settings.listener.port ?? (await findFreePort(settings.listener.bind)));
  const adminPassword = new Secret(randomBytes(24).toString("hex"));
  const server = resources.use(startServer(program, createConfig(settings, port, adminPassword), directory, foreign, signal));
  // By the process's own directory: the path of a socket must be short.
  const place = { socket: `/proc/${server.pid}/cwd/${socketName}` };
  const endpoint: Endpoint = { place, user: adminName, password: adminPassword, tls: undefined, via: undefined };
  const connection = resources.use(await connectWhenLoaded(server, endpoint, signal));
  const version = readVersion(await readInfo(connection, "server"));
  const owned = resources.move();
  return { connection, version, port, directory, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const rdbName = "load.rdb";
const socketName = "s";
const adminName = "holdfast";

/** Only a server of its own family reads a file that is in the form of one of them. */
function findServerProgram(scan: RdbScan | undefined): string {
  const names =
    scan?.family === "valkey"
      ? ["valkey-server"]
      : scan !== undefined && scan.version >= 12
        ? ["redis-server"]
        : ["redis-server", "valkey-server"];
  const found = names.find((name) => findProgram(name) !== undefined);
  if (found !== undefined) return found;
  throw new HoldfastError("tool-missing", `${names.join(" or ")} is not installed`, {
    hint: "Drills and restores need a private server: install the package (redis-server, valkey-server); its own service need not run.",
  });
}

/** The config goes through standard input: there is no file of it. */
function createConfig({ rdb, listener }: ScratchSettings, port: number, adminPassword: Secret): string {
  const databases = Math.max(16, ...[...(rdb?.scan.databases.keys() ?? [])].map((index) => index + 1));
  const lines = [
    "daemonize no",
    "dir .",
    `unixsocket ${socketName}`,
    "unixsocketperm 700",
    `port ${port}`,
    `bind ${listener?.bind ?? "127.0.0.1"}`,
    `dbfilename ${rdbName}`,
    'save ""',
    "appendonly no",
    `databases ${databases}`,
    "maxmemory 0",
    "repl-diskless-sync yes",
    "repl-diskless-sync-delay 0",
    "client-output-buffer-limit replica 0 0 0",
    // How often it looks for a signal to end, and after its children.
    "hz 100",
    `user ${adminName} on ${hashPassword(adminPassword)} ~* &* +@all`,
  ];
  const user = listener === undefined ? undefined : (listener.user ?? "default");
  if (user !== "default") lines.push("user default off");
  if (listener !== undefined) lines.push(`user ${user} on ${hashPassword(listener.password)} ~* &* +@all`);
  return `${lines.join("\n")}\n`;
}

/** As the server takes it in place of the password: so it is in no config, and in no message of the server. */
function hashPassword(password: Secret): string {
  return `#${createHash("sha256").update(password.reveal()).digest("hex")}`;
}

/** Has the server write what it holds; the file is replaced by the next save. The file that it has loaded keeps its bytes. */
export async function saveScratch({ connection, directory }: ScratchServer): Promise<string> {
  await connection.call("SAVE");
  return join(directory, rdbName);
}

interface StartedServer extends AsyncDisposable {
  readonly pid: number;
  readonly program: string;
  /** The end of its log. */
  readonly readLog: () => readonly string[];
  /** Rejects when it ends. */
  readonly ended: Promise<never>;
}

function startServer(program: string, config: string, directory: string, foreign: boolean, signal: AbortSignal): StartedServer {
  const identity = foreign ? nobody : {};
  const running: RunningProgram = openProgram(program, ["-"], { cwd: directory, stdin: "pipe", ...identity }, signal);
  const log: string[] = [];
  running.stdin?.on("error", () => undefined);
  running.stdin?.end(config);
  running.stdout?.setEncoding("utf8").on("data", (text: string) => {
    log.push(...text.split("\n").filter((line) => line !== ""));
    log.splice(0, Math.max(0, log.length - 200));
  });
  const ended = running.finished.then(
    () => {
      throw new HoldfastError("restore-failed", describeEnd(program, log));
    },
    (error: unknown) => {
      if (error instanceof HoldfastError && error.code === "tool-failed")
        throw new HoldfastError("restore-failed", describeEnd(program, log), { cause: error });
      throw error;
    },
  );
  ended.catch(() => undefined);
  return { pid: running.pid ?? 0, program, readLog: () => log, ended, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() };
}

const telling = /RDB|module|version|error|fail|Bad|corrupt|memory|bind/i;

/** Why a private server ended by itself: its log says it in one of its last lines. */
function describeEnd(program: string, log: readonly string[]): string {
  const lines = log.map((line) => line.replace(/^\d+:\w \d+ \w+ \d+ [\d:.]+ [#*.-] /, ""));
  const reasons = lines.filter((line) => telling.test(line) && !/Redis version=|Valkey version=|Configuration loaded|oO0/.test(line));
  return `a private ${program} did not load the data: ${reasons.slice(-3).join("; ") || lines.slice(-2).join("; ") || "it gave no reason"}`;
}

async function connectWhenLoaded(server: StartedServer, endpoint: Endpoint, signal: AbortSignal): Promise<RedisConnection> {
  const limitMs = performance.now() + loadMs;
  const give = new AbortController();
  try {
    while (performance.now() < limitMs) {
      if (signal.aborted) throw createAbortError(signal, "the private server was given up");
      const connected = openConnection(endpoint, 0, signal).catch((error: unknown) => {
        if (error instanceof HoldfastError && (error.code === "source-missing" || error.code === "source-locked")) return undefined;
        throw error;
      });
      const connection = await Promise.race([connected, server.ended]);
      if (connection !== undefined) return connection;
      await Promise.race([pause(pollMs, undefined, { signal: give.signal }), server.ended]);
    }
  } finally {
    give.abort();
  }
  throw new HoldfastError("timeout", `a private ${server.program} did not load the data within ${describeDuration(loadMs)}`);
}
