import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { runCommand } from "../support/run-command.ts";

const program = join(import.meta.dirname, "../../src/main.ts");
const tellLoads =
  'data:text/javascript,import { registerHooks } from "node:module"; registerHooks({ load(url, context, next) { process._rawDebug(`loads ${url}`); return next(url, context); } });';

test("a call of the command line loads no driver and no library of the daemon: most of its time would be loading", async () => {
  const socket = "/nonexistent/admin.sock";
  for (const args of [
    ["--help"],
    ["status", "--socket", socket],
    ["backup", "nightly", "--socket", socket],
    ["list", "--socket", socket],
    ["restore", "latest", "--job", "nightly", "--yes", "--socket", socket],
    ["undo", "--yes", "--socket", socket],
  ]) {
    const { stderr } = await runCommand([process.execPath, `--import=${tellLoads}`, program, ...args], { accept: [0, 8] });
    const loaded = [...stderr.matchAll(/^loads (file:.*)$/gm)].map(([, url = ""]) => url.replace(/^.*\/(?=src\/|node_modules\/)/, ""));
    assert.ok(loaded.includes("src/cli/run-cli.ts"), stderr);
    const heavy = loaded.filter((path) =>
      /^src\/(datastores|destinations|queue|catalog)\/|^node_modules\/(execa|zod|better-sqlite3|tar-stream|pino|node-cron)\//.test(path),
    );
    assert.deepEqual(heavy, [], args.join(" "));
  }
});
