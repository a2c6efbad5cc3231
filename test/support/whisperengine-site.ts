import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInstallation, type Installation } from "./daemon.ts";
import { makeDocker, type StandIn } from "./docker-stand-in.ts";
import { applicationCommand, makeSite, readExample, substitute } from "./example-config.ts";
import { openApplication, type LiveApplication } from "./live-application.ts";
import { openPostgres, superuserPassword, type PostgresServer } from "./postgres.ts";
import { openRedis, type RedisServer } from "./redis.ts";
import { makeVolumeServices, type VolumeServices } from "./whisperengine-services.ts";

export const redisPassword = "canary-r3dis";

/** As an engine stops a container: SIGTERM, and it is gone. */
const redisControl = `#!/bin/sh -e
case $1 in
stop) kill $(cat $2/pid); while test -e $2/pid; do sleep 0.02; done ;;
start)
  setpriv --reuid redis --regid redis --init-groups -- redis-server $2/config
  until redis-cli -s $2/s PING 2>/dev/null | grep -q -e PONG -e NOAUTH; do sleep 0.02; done ;;
esac
`;

/** The site of WhisperEngine: the shipped config, and servers of this machine behind a stand-in for the Docker client. */
export interface WhisperEngine extends AsyncDisposable {
  readonly home: string;
  readonly backups: string;
  readonly config: string;
  readonly docker: StandIn;
  readonly postgres: PostgresServer;
  readonly redis: RedisServer;
  /** Another container, which a restore stops and starts. */
  readonly bot: LiveApplication;
  /** ChromaDB and Neo4j. */
  readonly inVolumes: VolumeServices;
  readonly server: Installation;
  /** Of what Redis holds at first. */
  readonly digest: string;
}

/**
 * @param servers `dumped`: the shipped config without ChromaDB and Neo4j, which are not started; `all`: the shipped config, and all four run
 * and have data
 */
export async function openWhisperEngine(servers: "dumped" | "all"): Promise<WhisperEngine> {
  await using resources = new AsyncDisposableStack();
  const { dir } = resources.use(await makeSite());
  const home = join(dir, "srv/whisperengine");
  const backups = join(home, "backups");
  mkdirSync(home, { recursive: true });
  const postgres = resources.use(await openPostgres(15));
  const redis = resources.use(await openRedis({ password: redisPassword, config: ["appendonly yes"] }));
  const bot = resources.use(await openApplication(join(dir, "bot"), { databases: [join(dir, "bot.db")] }));
  await bot.start();
  const digest = fill(postgres, redis);
  const check = `psql -U postgres -d whisper -Atc 'select 1 / count(*) from memories' >/dev/null`;
  writeFileSync(
    join(home, "health_check.sh"),
    `#!/bin/sh -e\ncd ${home}\ntest ! -e unhealthy\nPGPASSWORD='${superuserPassword}' docker compose exec -T -e PGPASSWORD postgres ${check}\ndate >> healthy\n`,
  );
  chmodSync(join(home, "health_check.sh"), 0o755);
  const inVolumes = await makeVolumeServices(dir);
  const tools = join(dir, "tools");
  mkdirSync(tools);
  writeFileSync(join(tools, "control-redis"), redisControl, { mode: 0o755 });
  const docker = resources.use(
    makeDocker(join(dir, "bin"), {
      containers: {
        postgres: {
          path: postgres.binDir,
          env: { PGHOST: "127.0.0.1", PGPORT: String(postgres.port) },
          runs: join(postgres.dataDirectory, "postmaster.pid"),
        },
        redis: {
          path: "/usr/bin",
          runs: join(redis.directory, "pid"),
          control: { command: [join(tools, "control-redis")], place: redis.directory },
        },
        ...inVolumes.containers,
        bot: { control: { command: applicationCommand("").slice(0, -1), place: bot.dir } },
      },
      volumes: Object.fromEntries(Object.entries(inVolumes.volumes).map(([name, mountpoint]) => [name, { mountpoint }])),
    }),
  );
  const shipped = await readExample("whisperengine", {
    replace: {
      "/srv/whisperengine": home,
      "announce: 172.17.0.1": `announce: 127.0.0.1\n    port: ${redis.port}`,
      "# password: {": "password: {",
      "entry: postgresql_backup.sql": "entry: postgresql_backup.sql\n    waitFor: 1s",
      "entry: redis_backup.rdb": "entry: redis_backup.rdb\n    waitFor: 1s",
      "verify: weekly": "verify: weekly\n    shrink: { minHistory: 1 }\n    retry: { attempts: 1 }",
      "retryFor: 1m": "retryFor: 1s",
      ...inVolumes.replace,
    },
  });
  const config = servers === "all" ? shipped : withoutVolumes(shipped);
  if (servers === "all") {
    await docker.run("compose", "up", "-d", "chromadb", "neo4j");
    await inVolumes.waitUntilUp();
    await inVolumes.fill();
  }
  const env = {
    PATH: `${docker.directory}:${process.env["PATH"] ?? ""}`,
    POSTGRES_PASSWORD: superuserPassword,
    REDIS_PASSWORD: redisPassword,
  };
  const server = resources.use(await createInstallation({ dir, config, init: ["backups"], env }));
  const kept = resources.move();
  const dispose = (): Promise<void> => kept.disposeAsync();
  return { home, backups, config, docker, postgres, redis, bot, inVolumes, server, digest, [Symbol.asyncDispose]: dispose };
}

function withoutVolumes(config: string): string {
  const datastores = config.replaceAll(/^ {2}(chromadb|neo4j):.*\n(?: {4}.*\n)+/gm, "");
  return substitute(datastores, "[postgres, redis, chromadb, neo4j]", "[postgres, redis]");
}

function fill(postgres: PostgresServer, redis: RedisServer): string {
  postgres.execute("create role bot login; create database whisper owner bot");
  postgres.execute(
    `set role bot; create table memories (id int primary key, text text);
     insert into memories select n, 'memory ' || n from generate_series(1, 2000) n`,
    "whisper",
  );
  const lines = Array.from({ length: 500 }, (_, index) => `SET session:${index} ${"word ".repeat(10).trim().replaceAll(" ", "-")}`);
  redis.run([], lines.join("\n"));
  redis.run(["-n", "2"], "SET mood calm\nSET soon gone EX 100000\n");
  return redis.readDigest();
}
