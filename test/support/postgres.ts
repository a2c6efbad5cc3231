import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { putDockerStandIn } from "./docker-stand-in.ts";
import { findFreePort } from "./free-port.ts";
import { copyCluster } from "./postgres-template.ts";
import { waitUntil } from "./wait-until.ts";

/** Major versions that the tests run on; scripts/setup --test installs both. */
export const majors = [15, 18] as const;
export type Major = (typeof majors)[number];

/** What runs the servers: initdb refuses root. */
const account = "postgres";
const becomeAccount = ["setpriv", `--reuid=${account}`, `--regid=${account}`, "--init-groups", "--"];
const plainOutput = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"];
export const superuserPassword = "sup3r geheim";

interface RunSettings {
  readonly database?: string;
  readonly input?: string | Buffer;
}

export function findBinDir(major: Major): string {
  return major === 15 ? "/usr/lib/postgresql/15/bin" : join(import.meta.dirname, "../../.runtime/postgresql-18/bin");
}

export interface PostgresSettings {
  /** Lines for postgresql.conf. */
  readonly config?: readonly string[];
  /** Lines that go before those of pg_hba.conf: trust by socket, passwords by TCP. */
  readonly hba?: readonly string[];
}

/** A private server with a socket and a free TCP port, not durable, gone with the test. */
export class PostgresServer {
  readonly major: Major;
  readonly directory: string;
  readonly port: number;
  #child: ChildProcess | undefined;

  constructor(major: Major, directory: string, port: number) {
    this.major = major;
    this.directory = directory;
    this.port = port;
  }

  get binDir(): string {
    return findBinDir(this.major);
  }

  /** Of the socket. */
  get socketDirectory(): string {
    return this.directory;
  }

  get dataDirectory(): string {
    return join(this.directory, "data");
  }

  /** Options of a datastore that connects as the superuser by TCP. */
  options(extra: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    return { host: "127.0.0.1", port: this.port, user: account, password: superuserPassword, waitFor: "0s", ...extra };
  }

  /** Options of a datastore that connects as the superuser by the socket, without a password. */
  socketOptions(extra: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    return { host: this.socketDirectory, port: this.port, user: account, waitFor: "0s", ...extra };
  }

  /** Runs SQL as the superuser, and as the server's account, which peer authentication asks for; gives what it prints, one row a line. */
  execute(sql: string, database = "postgres"): string {
    return this.#run([...becomeAccount, join(this.binDir, "psql"), ...plainOutput], { database, input: sql });
  }

  /** Runs a tool as the superuser and gives its standard output. */
  run(tool: string, args: readonly string[], given: RunSettings = {}): string {
    return this.#run([join(this.binDir, tool), ...args], given);
  }

  #run([program = "", ...args]: readonly string[], given: RunSettings): string {
    return execFileSync(program, args, {
      env: {
        ...process.env,
        PGHOST: this.socketDirectory,
        PGPORT: String(this.port),
        PGUSER: account,
        PGDATABASE: given.database ?? "postgres",
      },
      input: given.input ?? "",
      encoding: "utf8",
      stdio: ["pipe", "pipe", "pipe"],
      maxBuffer: 1 << 28,
      // The account may not look into ours.
      cwd: "/",
    });
  }

  async start(): Promise<void> {
    const child = spawn(
      "setpriv",
      ["--pdeathsig", "KILL", ...becomeAccount.slice(1), join(this.binDir, "postgres"), "-D", this.dataDirectory],
      { stdio: "ignore", cwd: "/" },
    );
    this.#child = child;
    await waitUntil("a PostgreSQL server that answers", () => {
      try {
        this.execute("select 1");
        return true;
      } catch (error) {
        if (child.exitCode !== null) throw new Error(`The server has ended with ${child.exitCode}`, { cause: error });
        return false;
      }
    });
  }

  /** `fast` ends the connections, `immediate` is a crash. Resolves when the server is gone. */
  async stop(mode: "fast" | "immediate" = "fast"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(mode === "fast" ? "SIGINT" : "SIGQUIT");
    await exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("immediate");
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Makes the tools of a version that no package has installed known to the program, by the PATH of this process; as last of all. */
function addToPath(binDir: string): void {
  const places = (process.env["PATH"] ?? "").split(":");
  if (!places.includes(binDir)) process.env["PATH"] = [...places, binDir].join(":");
}

/** Must be closed. */
export async function openPostgres(major: Major, settings: PostgresSettings = {}): Promise<PostgresServer> {
  const directory = mkdtempSync(join(tmpdir(), "pg-"));
  chmodSync(directory, 0o755);
  const { uid, gid } = findAccount();
  chownSync(directory, uid, gid);
  const server = new PostgresServer(major, directory, await findFreePort());
  addToPath(server.binDir);
  const passwordFile = join(directory, "password");
  writeFileSync(passwordFile, superuserPassword, { mode: 0o600 });
  chownSync(passwordFile, uid, gid);
  const making = ["-U", account, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-A", "scram-sha-256"];
  const become = ["setpriv", ...becomeAccount.slice(1)] as const;
  copyCluster(server.dataDirectory, {
    binDir: server.binDir,
    settings: [...making, superuserPassword].join(" "),
    becomeAccount: become,
    make: (target) =>
      execFileSync("setpriv", [...become.slice(1), join(server.binDir, "initdb"), "-D", target, ...making, "--pwfile", passwordFile], {
        cwd: "/",
        stdio: "pipe",
      }),
  });
  const lines = [
    `listen_addresses = '127.0.0.1'`,
    `port = ${server.port}`,
    `unix_socket_directories = '${directory}'`,
    "fsync = off",
    "full_page_writes = off",
    "synchronous_commit = off",
    "shared_buffers = 32MB",
    "max_connections = 40",
    "logging_collector = off",
    ...(settings.config ?? []),
  ];
  writeFileSync(join(server.dataDirectory, "postgresql.conf"), `${lines.join("\n")}\n`, { flag: "a" });
  const hba = [...(settings.hba ?? []), "local all all trust", "host all all 127.0.0.1/32 scram-sha-256"];
  writeFileSync(join(server.dataDirectory, "pg_hba.conf"), `${hba.join("\n")}\n`);
  try {
    await server.start();
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

/** Who runs the servers. */
export function findAccount(): { readonly uid: number; readonly gid: number } {
  const [uid = 0, gid = 0] = ["-u", "-g"].map((option) => Number(execFileSync("id", [option, account], { encoding: "utf8" })));
  return { uid, gid };
}

/** Rows enough for a dump that takes a while: about `megabytes` of text that does not pack. */
export function fillTable(server: PostgresServer, database: string, table: string, megabytes: number): void {
  server.execute(
    `create table ${table} (id bigint primary key, body text);
     insert into ${table} select n, (select string_agg(md5(n::text || m::text), '') from generate_series(1, 32) m) from generate_series(1, ${megabytes * 1000}) n;`,
    database,
  );
}

/** A container with the server and its tools; see putDockerStandIn. */
export function makeDockerStandIn(t: TestContext, server: PostgresServer, container: string): { readonly log: string } {
  const env = { PGHOST: server.socketDirectory, PGPORT: String(server.port) };
  return putDockerStandIn(t, { container, path: server.binDir, env });
}
