#!/usr/bin/env node
import { runOperation } from "./operations/run-task.ts";
import { serveWorker } from "./worker/serve-worker.ts";

if (process.argv[2] === "worker") await serveWorker(runOperation);
else {
  const { runCli } = await import("./cli/run-cli.ts");
  process.exitCode = await runCli(process.argv.slice(2));
}
