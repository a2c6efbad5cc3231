import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Config } from "../../config/config.ts";
import { checkSources } from "./check-sources.ts";

const quiet = new AbortController().signal;

test("sources are asked at the same time, four of them at most, and told in the order of the config", { timeout: 60_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "sources-"));
  const callers: Socket[] = [];
  let most = 0;
  // Says nothing until four have come; then the last of them is sent away first. The fifth and the sixth come after.
  const server = createServer((socket) => {
    callers.push(socket.on("error", () => undefined));
    most = Math.max(most, callers.filter(({ destroyed }) => !destroyed).length);
    if (callers.length >= 4) for (const caller of callers.toReversed()) caller.destroy();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { port } = server.address() as AddressInfo;
    const names = ["one", "two", "three", "four", "five", "six"];
    const datastore = (name: string) => ({ name, kind: "redis", options: { host: "127.0.0.1", port, waitFor: "0s" }, optional: false });
    const config = { datastores: new Map(names.map((name) => [name, datastore(name)])), jobs: new Map() } as unknown as Config;
    const { findings, facts } = await checkSources(config, directory, quiet);
    assert.deepEqual(
      findings.filter(({ level }) => level === "fail").map(({ what }) => what),
      names.map((name) => `source ${name}`),
    );
    assert.equal(facts.size, 0);
    assert.equal(most, 4);
    assert.deepEqual(readdirSync(directory), []);
  } finally {
    server.close();
    rmSync(directory, { recursive: true });
  }
});
