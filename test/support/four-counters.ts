import Database from "better-sqlite3";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Hook } from "../../src/config/config.ts";
import type { DatastoreSetup } from "../../src/operations/setup.ts";
import { openPostgres } from "./postgres.ts";
import { openRedis } from "./redis.ts";

/** What the application is told. */
export interface FourCounters {
  readonly sqlite: string;
  readonly file: string;
  readonly postgres: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly password: string;
    readonly database: string;
  };
  /** A socket. */
  readonly redis: string;
  readonly lock: string;
  /** The first number that it writes. */
  readonly first: number;
}

export interface CountersWorld extends AsyncDisposable {
  readonly datastores: readonly DatastoreSetup[];
  readonly freeze: Hook;
  readonly thaw: Hook;
  /** In the order in which the application writes them. */
  read(): readonly number[];
  /** Starts the application where the highest counter stands. Resolves when it has written; closing ends it. */
  start(): Promise<AsyncDisposable>;
}

const script = new URL("../fixtures/programs/four-counters.ts", import.meta.url).pathname;

/** The four places, and an application that is stopped. */
export async function openCountersWorld(directory: string, how: { readonly redis: "bgsave" | "replication" }): Promise<CountersWorld> {
  await using resources = new AsyncDisposableStack();
  const [postgres, redis] = [resources.use(await openPostgres(15)), resources.use(await openRedis())];
  const [sqlite, tree, lock] = [join(directory, "counter.db"), join(directory, "tree"), join(directory, "lock")];
  mkdirSync(tree);
  // Bytes that take their time: a dump of one datastore ends long after that of another.
  for (let at = 0; at < 6; at += 1) writeFileSync(join(tree, `ballast-${at}`), Buffer.alloc(1 << 20, String(at)));
  writeFileSync(join(tree, "counter"), "0");
  const database = new Database(sqlite);
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE counter (number INTEGER); INSERT INTO counter VALUES (0)");
  database.close();
  postgres.execute("CREATE DATABASE app");
  postgres.execute("CREATE TABLE counter (number int); INSERT INTO counter VALUES (0)", "app");
  redis.call("SET", "counter", "0");
  const { host, port, user, password } = postgres.options() as unknown as FourCounters["postgres"];
  const settings = {
    sqlite,
    file: join(tree, "counter"),
    postgres: { host, port, user, password, database: "app" },
    redis: redis.socket,
    lock,
  };
  const read = (): readonly number[] => {
    const opened = new Database(sqlite, { readonly: true });
    const inSqlite = opened.prepare("SELECT number FROM counter").pluck().get();
    opened.close();
    const inPostgres = postgres.execute("SELECT number FROM counter", "app");
    return [inSqlite, readFileSync(settings.file, "utf8"), inPostgres, redis.call("GET", "counter")].map(Number);
  };
  const describe = (name: string, kind: string, options: unknown): DatastoreSetup => ({ name, kind, options, shrink: "off" });
  const hook = (text: string): Hook => ({ command: ["/bin/sh", "-c", text], timeoutMs: 30_000 });
  const wait = (condition: string): string => `while ${condition}; do sleep 0.01; done`;
  const held = resources.move();
  return {
    datastores: [
      describe("memory", "sqlite", { path: sqlite }),
      describe("tree", "files", { root: tree }),
      describe("crm", "postgresql", postgres.options({ database: "app", binDir: postgres.binDir })),
      describe("cache", "redis", redis.options({ method: how.redis })),
    ],
    freeze: hook(`: > '${lock}'; ${wait(`[ ! -e '${lock}.held' ]`)}`),
    thaw: hook(`rm -f '${lock}'; ${wait(`[ -e '${lock}.held' ]`)}`),
    read,
    async start() {
      const first = Math.max(...read()) + 1;
      const child = spawn(process.execPath, [script, JSON.stringify({ ...settings, first })], { stdio: ["pipe", "pipe", "inherit"] });
      const exited = once(child, "exit");
      await Promise.race([
        once(child.stdout, "data"),
        exited.then(([code]) => Promise.reject(new Error(`The application has ended with ${String(code)}`))),
      ]);
      return {
        async [Symbol.asyncDispose]() {
          child.stdin.end();
          await exited;
        },
      };
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}
