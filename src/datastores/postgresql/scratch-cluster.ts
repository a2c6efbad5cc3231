import { randomBytes } from "node:crypto";
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { describeCause, HoldfastError } from "../../base/errors.ts";
import { resolveIdentity, type Identity } from "../../base/identity.ts";
import { createAbortError, openProgram, runProgram, type RunningProgram } from "../../base/subprocess.ts";
import { openForSearch } from "./restore-spool.ts";
import { describeDuration } from "../../base/parse-duration.ts";

const initMs = 5 * 60_000;
const startMs = 5 * 60_000;
const port = 5432;
/** The kernel's limit for the path of a socket, its final zero included. */
const socketPathBytes = 108;
/** A cluster that loads foreign data runs as nobody: the account of the machine's real servers could do them harm. */
export const nobody = { uid: 65_534, gid: 65_534 };

/** A server of our own. Closing it stops it and removes its data; it dies with this process in any case. */
export interface ScratchCluster extends AsyncDisposable {
  /** The directory of its socket: there is no other way in. */
  readonly host: string;
  readonly port: number;
  /** Its superuser, named like no role of a dump, so that every role of a dump can be made. */
  readonly user: string;
  readonly binDir: string;
  readonly major: number;
  /** Whom it runs as, and whom its clients should run as: what is loaded into it may be hostile. Null: as we are. */
  readonly identity: Identity | null;
}

export interface ScratchSettings {
  /** Where initdb and postgres of one major version lie. */
  readonly binDir: string;
  /** An existing directory of ours; `cluster` is made in it. */
  readonly directory: string;
}

/**
 * Makes and starts a private cluster: a socket that only we and its own account may use, no network, no durability.
 * @throws tool-missing, tool-failed, timeout, cancelled
 */
export async function openScratchCluster({ binDir, directory }: ScratchSettings, signal: AbortSignal): Promise<ScratchCluster> {
  await using stack = new AsyncDisposableStack();
  const identity = process.geteuid?.() === 0 ? ((await resolveIdentity(nobody.uid, nobody, signal)) ?? null) : null;
  const user = `holdfast_scratch_${randomBytes(4).toString("hex")}`;
  const data = join(directory, "cluster");
  await mkdir(data, { mode: 0o700 });
  stack.defer(() => rm(data, { recursive: true, force: true, maxRetries: 3 }));
  if (identity !== null) {
    await chown(data, identity.uid, identity.gid);
    await openForSearch(directory);
  }
  const run = identity === null ? {} : { uid: identity.uid, gid: identity.gid };
  const initArgs = ["-D", data, "-U", user, "--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--locale=C", "--no-sync"];
  await runProgram(join(binDir, "initdb"), initArgs, { ...run, timeoutMs: initMs }, signal);
  await admitUs(data, user, identity);
  const socketDir = await makeSocketDirectory(data, identity, stack);
  const major = Number.parseInt(await readFile(join(data, "PG_VERSION"), "utf8"), 10);
  stack.use(await startServer(join(binDir, "postgres"), createServerArguments(data, socketDir, major), run, signal));
  const owned = stack.move();
  return { host: socketDir, port, user, binDir, major, identity, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Its clients are we and the account that it runs as; both come as its superuser, and nobody else comes in. */
async function admitUs(data: string, user: string, identity: Identity | null): Promise<void> {
  const names = new Set([userInfo().username, ...(identity?.user === null || identity === null ? [] : [identity.user])]);
  const write = async (name: string, text: string): Promise<void> => {
    await writeFile(join(data, name), text, { mode: 0o600 });
    if (identity !== null) await chown(join(data, name), identity.uid, identity.gid);
  };
  await write("pg_hba.conf", "local all all peer map=holdfast\n");
  await write("pg_ident.conf", [...names].map((name) => `holdfast "${name}" ${user}\n`).join(""));
}

async function makeSocketDirectory(data: string, identity: Identity | null, stack: AsyncDisposableStack): Promise<string> {
  if (Buffer.byteLength(join(data, `.s.PGSQL.${port}`)) < socketPathBytes) return data;
  const path = await mkdtemp(join(tmpdir(), "holdfast-pg-"));
  stack.defer(() => rm(path, { recursive: true, force: true }));
  if (identity !== null) await chown(path, identity.uid, identity.gid);
  return path;
}

function createServerArguments(data: string, socketDir: string, major: number): readonly string[] {
  const settings: Record<string, string> = {
    listen_addresses: "",
    port: String(port),
    unix_socket_directories: `"${socketDir.replaceAll('"', '""')}"`,
    unix_socket_permissions: "0700",
    // Nothing here outlives the process.
    fsync: "off",
    full_page_writes: "off",
    synchronous_commit: "off",
    wal_level: "minimal",
    max_wal_senders: "0",
    max_wal_size: "1GB",
    autovacuum: "off",
    shared_buffers: "64MB",
    max_connections: "30",
    max_prepared_transactions: "0",
    logging_collector: "off",
    log_destination: "stderr",
    log_min_messages: "warning",
    lc_messages: "C",
    // Tablespaces of a dump become directories in ours, wherever they were.
    ...(major >= 15 ? { allow_in_place_tablespaces: "on" } : {}),
  };
  return ["-D", data, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])];
}

async function startServer(
  program: string,
  args: readonly string[],
  run: { readonly uid?: number; readonly gid?: number },
  signal: AbortSignal,
): Promise<AsyncDisposable> {
  const ready = Promise.withResolvers<undefined>();
  const onStderrLine = (line: string): void => {
    if (line.includes("database system is ready to accept connections")) ready.resolve(undefined);
  };
  // Its life is not the call's: it goes on after `signal` has served its time, until it is closed.
  const life = new AbortController();
  const server = openProgram(program, args, { ...run, onStderrLine }, life.signal);
  server.stdout?.resume();
  const ended = server.finished.then(
    () => new HoldfastError("tool-failed", "it ended at once"),
    (error: unknown) => (error instanceof HoldfastError ? error : new HoldfastError("tool-failed", describeCause(error))),
  );
  const limit = AbortSignal.any([signal, AbortSignal.timeout(startMs)]);
  const onLimit = (): void => ready.reject(limit.reason);
  limit.addEventListener("abort", onLimit, { once: true });
  try {
    limit.throwIfAborted();
    await Promise.race([ready.promise, ended.then((error) => Promise.reject(error))]);
  } catch (error) {
    await stopServer(server);
    if (signal.aborted) throw createAbortError(signal, "The start of a scratch server was stopped");
    const message = limit.aborted ? `it was not ready within ${describeDuration(startMs)}` : describeCause(error);
    throw new HoldfastError(limit.aborted ? "timeout" : "tool-failed", `Cannot start a scratch PostgreSQL server: ${message}`, {
      cause: error,
    });
  } finally {
    limit.removeEventListener("abort", onLimit);
  }
  return { [Symbol.asyncDispose]: () => stopServer(server) };
}

/** At once: SIGTERM would wait for its clients, and there is nothing to keep. */
async function stopServer(server: RunningProgram): Promise<void> {
  const ended = server.finished.then(
    () => undefined,
    () => undefined,
  );
  try {
    if (server.pid !== undefined) process.kill(server.pid, "SIGQUIT");
  } catch {
    // It has ended already.
  }
  await ended;
}
