import { existsSync, rmSync } from "node:fs";
import type { DatastoreFixture } from "../contracts/datastore/fixture.ts";
import { fillServer, openRedis, type RedisServer } from "./redis.ts";

/** A server on a socket, whose RDB file is known: while it is stopped, its files are restored. */
export const redisFixture: DatastoreFixture = {
  kind: "redis",
  unreadableCodes: ["source-unreadable"],
  async openSource(directory) {
    const server = await openRedis({ directory });
    fillServer(server, 2);
    const readData = (): Promise<string> => readWherever(server);
    return {
      options: server.options(),
      optionalOptions: server.options({ optional: true }),
      async change() {
        server.call("SET", "more", "1");
        server.call("DEL", "key:1");
      },
      async remove() {
        await server.stop();
        rmSync(server.rdb, { force: true });
      },
      async makeUnreadable() {
        server.call("CONFIG", "SET", "requirepass", "locked out");
      },
      fingerprint: async () => `${await readData()}\n${server.call("CONFIG", "GET", "master*")}\n${server.call("ROLE")}`,
      readData,
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
};

/** What a stopped server would hold is seen by starting it; it writes nothing when it is killed. */
async function readWherever(server: RedisServer): Promise<string> {
  if (server.pid !== undefined) return server.readDigest();
  if (!existsSync(server.rdb)) return "nothing";
  await server.start();
  const digest = server.readDigest();
  await server.stop();
  return digest;
}
