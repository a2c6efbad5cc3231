import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "../../base/errors.ts";
import { startRedis } from "../../../test/support/redis.ts";
import { openConnection } from "./connection.ts";
import { resolveEndpoint } from "./endpoint.ts";
import { explainRedisError } from "./explain-error.ts";

test("A14 what a server refuses for reasons that nobody foresaw is told as its answer, not as a bug of ours", async (t) => {
  const server = await startRedis(t, { config: ["maxmemory 1"] });
  await using connection = await openConnection(resolveEndpoint({ socket: server.socket }), 0, new AbortController().signal);
  await assert.rejects(connection.call("SET", "key", "value"), (error: unknown) => {
    assert.ok(error instanceof HoldfastError, String(error));
    assert.match(error.message, /refuses: OOM command not allowed/);
    return true;
  });
});

test("W5 W7 an engine that does not answer and a paused container are a server that does not answer", () => {
  for (const said of [
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    "Error response from daemon: Container redis is paused, unpause the container before exec",
  ]) {
    const error = explainRedisError(new HoldfastError("tool-failed", `docker exited with 1: ${said}`), "redis");
    assert.ok(error instanceof HoldfastError);
    assert.equal(error.code, "source-unreachable", said);
  }
});
