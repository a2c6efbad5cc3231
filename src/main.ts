#!/usr/bin/env node
// Each side loads only what it needs: a short call of the command line is mostly loading.
if (process.argv[2] === "worker") {
  const { relaxCollector } = await import("./worker/relax-collector.ts");
  relaxCollector();
  const { serveWorker } = await import("./worker/serve-worker.ts");
  const { runOperation } = await import("./operations/run-task.ts");
  await serveWorker(runOperation);
} else if (process.argv[2] === "guard") {
  const { serveGuard } = await import("./operations/hold/serve-guard.ts");
  await serveGuard();
} else {
  const { runCli } = await import("./cli/run-cli.ts");
  process.exitCode = await runCli(process.argv.slice(2));
}
