import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import type { PostgresServer } from "../test/support/postgres.ts";
import { mib, sum, type Case, type Phases } from "./compare.ts";

const backedUp = ({ took }: Phases): number => sum(took, ["connecting", "saving", "dumping", "storing", "publishing"]);
const restored = ({ took }: Phases): number => sum(took, ["staging", "loading", "swapping", "replacing", "removing what was put aside"]);

/** Fills the database `bench`: about 1.1 GiB of rows with an index, and some bytes that do not pack. */
export function fillPostgres(server: PostgresServer, scale: number): void {
  server.execute("create database bench");
  server.execute(
    `create table words as select n, (array['the','of','and','to','in','is','that','for','it','as','was','with','be','by','on','not'])[1 + n % 16] as word from generate_series(0, 255) n;
     create table texts as select s, (select string_agg((select word from words where n = ('x' || substr(md5(s || ':' || k), 1, 2))::bit(8)::int) || case when k % 10 = 0 then ' ' || ('x' || substr(md5(s || ':' || k), 3, 6))::bit(24)::int::text else '' end, ' ') from generate_series(1, 200) k) as body from generate_series(0, 499) s;
     create table messages (id bigint primary key, who text, at timestamptz, body text);
     insert into messages select n, 'user ' || n % 977, timestamptz '2026-01-01' + n * interval '37 seconds', n || ' ' || t.body || ' ' || substr(u.body, 1, 150) from generate_series(1, ${Math.round(scale * 1_000_000)}) n join texts t on t.s = n * 7 % 500 join texts u on u.s = n * 13 % 500;
     create index by_who on messages (who, at);
     create table blobs as select n, decode(string_agg(md5(n || ':' || k), ''), 'hex') as body from generate_series(1, ${Math.round(scale * 2_500)}) n, generate_series(1, 512) k group by n;
     drop table words; drop table texts; vacuum analyze; checkpoint`,
    "bench",
  );
}

/** Hashes on both sides of the compressor, by the fastest program for it. */
function addHashes(pipeline: string): string {
  const hash = "tee >(openssl dgst -sha256 >/dev/null)";
  return pipeline
    .replace("| zstd -q -3 -T2 >", `| ${hash} | zstd -q -3 -T2 | ${hash} >`)
    .replace(/zstd -q -d -c (\S+)/, `${hash} <$1 | zstd -q -d -c | ${hash}`);
}

/** Dumps and restores of the database `bench`, by the best raw pipeline of the same format. */
export function createPostgresCases(directory: string, server: PostgresServer): readonly Case[] {
  const target = join(directory, "raw");
  const size = mib(Number(server.execute("select pg_database_size('bench')")));
  const tools = `export PGHOST=${server.socketDirectory} PGPORT=${server.port} PGUSER=postgres PATH=${server.binDir}:$PATH`;
  const fresh = `${tools}; psql -qXc 'drop database again' postgres; psql -qXc 'create database again template template0' postgres`;
  const begin = `${tools}; rm -rf ${target}; mkdir ${target}`;
  const options = (format: string): unknown => server.socketOptions({ database: "bench", format, binDir: server.binDir });
  const one = (format: string, backup: string, restore: string): Case => ({
    hashedBackup: `${begin}; ${addHashes(backup)}; sync -f ${target}`,
    name: `PostgreSQL ${size}, ${format}, zstd:3`,
    job: `postgresql-${format}`,
    datastore: { name: "bench", kind: "postgresql", options: options(format) },
    rawBackup: `${begin}; ${backup}; sync -f ${target}`,
    rawRestore: `${fresh}; ${restore}`,
    hashedRestore: `${fresh}; ${addHashes(restore)}`,
    present: `${tools}; psql -qXc 'create database again template bench strategy file_copy' -c checkpoint postgres`,
    settle: `${tools}; psql -qXc 'drop database if exists again' -c checkpoint postgres 2>/dev/null`,
    comparable: backedUp,
    restored,
  });
  return [
    one(
      "custom",
      `pg_dump -Fc -Z0 bench | zstd -q -3 -T2 >${target}/d`,
      `zstd -q -d -c ${target}/d >${target}/plain; pg_restore -j2 -d again ${target}/plain; rm ${target}/plain`,
    ),
    one(
      "plain",
      `pg_dump -Fp bench | zstd -q -3 -T2 >${target}/d`,
      `zstd -q -d -c ${target}/d | psql -qX -v ON_ERROR_STOP=1 -1 -d again >/dev/null`,
    ),
    one(
      "directory",
      `pg_dump -Fd -j2 -Z0 -f ${target}/dir bench; tar -cf - -C ${target} dir | zstd -q -3 -T2 >${target}/d; rm -r ${target}/dir`,
      `zstd -q -d -c ${target}/d | tar -xf - -C ${target}; pg_restore -j2 -d again ${target}/dir; rm -r ${target}/dir`,
    ),
  ];
}

/** A private Redis server for the benchmark, gone when it is closed. */
export class BenchRedis {
  readonly socket: string;
  readonly #child: ChildProcess;
  readonly client: Redis;

  constructor(directory: string) {
    const data = join(directory, "redis");
    mkdirSync(data);
    this.socket = join(data, "socket");
    const args = ["--port", "0", "--unixsocket", this.socket, "--dir", data, "--save", "", "--repl-diskless-sync-delay", "0"];
    this.#child = spawn("redis-server", args, { stdio: "ignore" });
    // Until it listens there is nothing to tell.
    this.client = new Redis({ path: this.socket }).on("error", () => undefined);
  }

  /** About so many MiB in memory: hashes of text, strings, lists. */
  async fill(megabytes: number): Promise<void> {
    const text = "the of and to in is that for it as was with be by on not he his but at are this have from or had an they ".repeat(12);
    for (let first = 0; first < megabytes * 1_300; first += 1_000) {
      const batch = this.client.pipeline();
      for (let n = first; n < first + 1_000; n += 1) {
        const body = `${n} ${text.slice(n % 400, (n % 400) + 600)} ${(n * 7919).toString(36)}`;
        if (n % 3 === 0) batch.hset(`hash:${n}`, { who: `user ${n % 977}`, body, at: n });
        else if (n % 3 === 1) batch.set(`string:${n}`, body);
        else batch.rpush(`list:${n % 50_000}`, body);
      }
      await batch.exec();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.disconnect();
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }
}

/**
 * The stream of `redis-cli --rdb`, and back through a scratch server and replication, as its documentation has it. The target is changed
 * first: the RDB names the target's own history, and a target that stands where the RDB does is told by the scratch server that it has all of
 * it already. Then nothing is sent, flushed and loaded, and there is nothing to compare with.
 */
export async function createRedisCase(directory: string, redis: BenchRedis): Promise<Case> {
  const target = join(directory, "raw");
  const used = Number(/used_memory:(\d+)/.exec(await redis.client.info("memory"))?.[1] ?? 0);
  const cli = `redis-cli -s ${redis.socket}`;
  const scratch = `${target}/scratch`;
  const backup = `${cli} --rdb - 2>/dev/null | zstd -q -3 -T2 >${target}/d`;
  return {
    name: `Redis ${mib(used)}, zstd:3`,
    job: "redis",
    datastore: { name: "bench", kind: "redis", options: { socket: redis.socket, method: "replication" } },
    rawBackup: `rm -rf ${target}; mkdir ${target}; ${backup}; sync ${target}/d`,
    hashedBackup: `rm -rf ${target}; mkdir ${target}; ${addHashes(backup)}; sync ${target}/d`,
    rawRestore: `${cli} set since:the:backup 1 >/dev/null; rm -rf ${scratch}; mkdir ${scratch}; zstd -q -d -c ${target}/d | head -c -40 >${scratch}/dump.rdb; redis-server --port 16399 --bind 127.0.0.1 --dir ${scratch} --save '' --repl-diskless-sync-delay 0 >/dev/null & until redis-cli -p 16399 ping 2>/dev/null | grep -q PONG; do sleep .02; done; ${cli} replicaof 127.0.0.1 16399 >/dev/null; until ${cli} info replication | grep -q master_link_status:up; do sleep .02; done; ${cli} replicaof no one >/dev/null; redis-cli -p 16399 shutdown nosave; wait`,
    comparable: backedUp,
    restored,
  };
}
