import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { putDockerStandIn as putStandIn } from "./docker-stand-in.ts";
import { findFreePort } from "./free-port.ts";
import { hasEnded, isRunning } from "./processes.ts";
import { waitUntil } from "./wait-until.ts";

export { findFreePort };

/** What runs the servers, as Debian's do. */
const account = "redis";
const pollMs = 10;
/** What has not come by then never will: a test says so, instead of being ended without a word. */
const waitMs = 60_000;

export interface RedisSettings {
  /** Lines for its config, after those that every test server has. */
  readonly config?: readonly string[];
  /** Where it lies; a temporary directory of its own without. */
  readonly directory?: string;
  /** Of its default user; commands of `call` use it. */
  readonly password?: string;
}

/** A private server on a socket and a free port. It runs on its own, so that it is no child of the test: closing it kills it. */
export class RedisServer implements AsyncDisposable {
  readonly directory: string;
  readonly port: number;
  readonly #password: string | undefined;

  constructor(directory: string, port: number, password: string | undefined) {
    this.directory = directory;
    this.port = port;
    this.#password = password;
  }

  get socket(): string {
    return join(this.directory, "s");
  }

  /** Where it has its files. */
  get data(): string {
    return join(this.directory, "data");
  }

  get rdb(): string {
    return join(this.data, "dump.rdb");
  }

  /** Undefined when it does not run. */
  get pid(): number | undefined {
    const path = join(this.directory, "pid");
    const pid = existsSync(path) ? Number(readFileSync(path, "utf8")) : 0;
    return pid > 0 && isRunning(pid) ? pid : undefined;
  }

  get log(): string {
    return readFileSync(join(this.directory, "log"), "utf8");
  }

  options(extra: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    return {
      socket: this.socket,
      rdbPath: this.rdb,
      waitFor: "0s",
      ...(this.#password === undefined ? {} : { password: this.#password }),
      ...extra,
    };
  }

  /** Runs one command and gives what the server answers, as text. */
  call(...command: readonly string[]): string {
    return this.run([...command]);
  }

  /** Runs `redis-cli` with arguments of its own. */
  run(args: readonly string[], input = ""): string {
    return execFileSync("redis-cli", ["-s", this.socket, "-e", ...args], {
      env: { ...process.env, ...(this.#password === undefined ? {} : { REDISCLI_AUTH: this.#password }) },
      encoding: "utf8",
      input,
      stdio: ["pipe", "pipe", "pipe"],
      maxBuffer: 1 << 28,
    }).trimEnd();
  }

  /** The same for the same data, times to live and functions included, as far as it does not expire. */
  readDigest(): string {
    const keyspace = this.call("INFO", "keyspace").replaceAll(/,avg_ttl=.*|\r/g, "");
    return [keyspace, this.call("DEBUG", "DIGEST"), this.call("FUNCTION", "LIST", "WITHCODE")].join("\n");
  }

  /** Starts it and waits until it has loaded its data. */
  async start(): Promise<void> {
    // What an earlier life of it has written says nothing of this one.
    const written = existsSync(join(this.directory, "log")) ? this.log.length : 0;
    const become = ["--reuid", account, "--regid", account, "--init-groups", "--"];
    execFileSync("setpriv", [...become, "redis-server", join(this.directory, "config")], { cwd: "/", stdio: "pipe" });
    await waitUntil(
      "a Redis server that answers",
      () => {
        try {
          return this.call("PING") === "PONG";
        } catch (error) {
          const said =
            error instanceof Error && "stderr" in error ? String(error.stderr) + String("stdout" in error ? error.stdout : "") : "";
          if (/NOAUTH|WRONGPASS/.test(said)) return true;
          if (this.pid === undefined && existsSync(join(this.directory, "log")) && /exiting|Exiting|Fatal/.test(this.log.slice(written)))
            throw new Error(this.log.slice(-2000), { cause: error });
          return false;
        }
      },
      { pollMs },
    ).catch((error: unknown) => {
      throw new Error(this.log.slice(-2000), { cause: error });
    });
  }

  /** Resolves when what it answers matches. */
  async waitFor(pattern: RegExp, ...command: readonly string[]): Promise<void> {
    await waitUntil(`${pattern.source} in the answer to ${command.join(" ")}`, () => pattern.test(this.call(...command)), {
      pollMs,
      withinMs: waitMs,
    });
  }

  /** `shutdown` saves where its config says so, `kill` is a crash. Resolves when it is gone. */
  async stop(how: "shutdown" | "kill" = "kill"): Promise<void> {
    const { pid } = this;
    if (pid === undefined) return;
    process.kill(pid, how === "kill" ? "SIGKILL" : "SIGTERM");
    // The file of its number goes before its socket does, and its directory before its port, which it would take away from the next one.
    await waitUntil("the end of a Redis server", () => hasEnded(pid), { pollMs });
    rmSync(join(this.directory, "pid"), { force: true });
    rmSync(this.socket, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Must be closed. Without persistence, unless its config says otherwise. */
export async function openRedis(settings: RedisSettings = {}): Promise<RedisServer> {
  const server = await makeRedis(settings);
  try {
    await server.start();
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

/** Ready to be started. */
export async function makeRedis({ config = [], directory, password }: RedisSettings = {}): Promise<RedisServer> {
  const path = directory ?? mkdtempSync(join(tmpdir(), "redis-"));
  if (directory !== undefined) mkdirSync(directory);
  chmodSync(path, 0o755);
  const server = new RedisServer(path, await findFreePort(), password);
  mkdirSync(server.data);
  writeFileSync(
    join(path, "config"),
    [
      "daemonize yes",
      `pidfile ${join(path, "pid")}`,
      `logfile ${join(path, "log")}`,
      `dir ${server.data}`,
      `unixsocket ${server.socket}`,
      "unixsocketperm 777",
      "bind 127.0.0.1",
      `port ${server.port}`,
      'save ""',
      "enable-debug-command yes",
      "repl-diskless-sync-delay 0",
      ...(password === undefined ? [] : [`requirepass ${JSON.stringify(password)}`]),
      ...config,
    ].join("\n"),
  );
  giveToAccount(path, server.data);
  return server;
}

function giveToAccount(...paths: readonly string[]): void {
  const [uid = 0, gid = 0] = ["-u", "-g"].map((option) => Number(execFileSync("id", [option, account], { encoding: "utf8" })));
  for (const path of paths) chownSync(path, uid, gid);
}

/** The same, closed after the test. */
export async function startRedis(t: TestContext, settings: RedisSettings = {}): Promise<RedisServer> {
  const server = await openRedis(settings);
  t.after(() => server[Symbol.asyncDispose]());
  return server;
}

/** Keys of all kinds, in three databases, with times to live, and a library of functions; `megabytes` of text that does not pack. */
export function fillServer(server: RedisServer, megabytes = 1): void {
  server.call("EVAL", fillScript, "0", String(megabytes * 500));
  server.run(["-n", "3"], fillCommands);
  server.run(["-n", "9"], "SET lonely 1\nEXPIRE lonely 5000\n");
  server.run(["-x", "FUNCTION", "LOAD"], "#!lua name=mylib\nredis.register_function('echo1', function(keys, args) return args[1] end)");
}

const fillScript = `math.randomseed(1)
for i = 1, tonumber(ARGV[1]) do
  local t = {}
  for j = 1, 500 do t[j] = string.char(math.random(32, 126), math.random(128, 255), math.random(0, 31), math.random(65, 90)) end
  redis.call('SET', 'key:' .. i, table.concat(t))
end`;

const fillCommands = `SET small 1
SET number 12345678
SET big 123456789012345
SET packed ${"abc".repeat(500)}
EXPIRE packed 100000
RPUSH list a b c 1 2 3
RPUSH longlist ${Array.from({ length: 600 }, (_, index) => `element-${index}-${"x".repeat(40)}`).join(" ")}
SADD ints 1 2 3 70000
SADD words red green ${"blue".repeat(30)}
SADD manywords ${Array.from({ length: 300 }, (_, index) => `word${index}`).join(" ")}
HSET hash a 1 b 2
HSET bighash ${Array.from({ length: 300 }, (_, index) => `field${index} value${index}`).join(" ")}
ZADD zset 1 one 2.5 two -inf low +inf high
ZADD bigzset ${Array.from({ length: 300 }, (_, index) => `${index * 1.5} member${index}`).join(" ")}
XADD stream 1-1 a 1 b 2
XADD stream 2-1 a 1 b 2
XADD stream 3-1 a 3 c 4
XDEL stream 2-1
XGROUP CREATE stream readers 0
XREADGROUP GROUP readers alice COUNT 1 STREAMS stream >
XGROUP CREATECONSUMER stream readers bob
PFADD visitors a b c d
SETBIT bits 1000 1
GEOADD places 13.361389 38.115556 Palermo
`;

/** A container with the programs of this machine; see docker-stand-in.ts. */
export function putDockerStandIn(t: TestContext, container: string): { readonly log: string } {
  return putStandIn(t, { container, path: "/usr/bin", env: {} });
}

/** An authority, and a server's and a client's certificate by it. */
export function makeCertificates(directory: string): { readonly ca: string; readonly cert: string; readonly key: string } {
  const path = (name: string): string => join(directory, name);
  const [ca, cert, key] = [path("ca.crt"), path("tls.crt"), path("tls.key")];
  const openssl = (...args: readonly string[]): Buffer => execFileSync("openssl", args, { stdio: "pipe" });
  openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test ca", "-keyout", path("ca.key"), "-out", ca);
  openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=cache.test", "-keyout", key, "-out", path("tls.csr"));
  writeFileSync(path("names"), "subjectAltName=DNS:cache.test");
  openssl(
    "x509",
    "-req",
    "-in",
    path("tls.csr"),
    "-CA",
    ca,
    "-CAkey",
    path("ca.key"),
    "-CAcreateserial",
    "-days",
    "2",
    "-extfile",
    path("names"),
    "-out",
    cert,
  );
  for (const file of [ca, cert, key]) chmodSync(file, 0o644);
  return { ca, cert, key };
}
