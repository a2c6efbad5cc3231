import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "../../base/errors.ts";
import { startRedis } from "../../../test/support/redis.ts";
import { openConnection } from "./connection.ts";
import { resolveEndpoint } from "./endpoint.ts";

test("A14 what a server refuses for reasons that nobody foresaw is told as its answer, not as a bug of ours", async (t) => {
  const server = await startRedis(t, { config: ["maxmemory 1"] });
  await using connection = await openConnection(resolveEndpoint({ socket: server.socket }), 0, new AbortController().signal);
  await assert.rejects(connection.call("SET", "key", "value"), (error: unknown) => {
    assert.ok(error instanceof HoldfastError, String(error));
    assert.match(error.message, /refuses: OOM command not allowed/);
    return true;
  });
});
