import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "../../base/errors.ts";
import { classifyError } from "./classify-error.ts";

test("W5 W7 a container that does not run is a server that does not answer", () => {
  for (const said of [
    'service "postgres" is not running',
    "Error response from daemon: No such container: db",
    "Error response from daemon: container 4f5a is not running",
    "Error response from daemon: Container db is paused, unpause the container before exec",
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
  ]) {
    const error = classifyError(new HoldfastError("tool-failed", `docker exited with 1: ${said}`));
    assert.ok(error instanceof HoldfastError);
    assert.equal(error.code, "source-unreachable", said);
    assert.match(error.hint ?? "", /container/);
  }
});
