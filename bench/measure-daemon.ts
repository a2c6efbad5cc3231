import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ControlClient } from "../src/control/client.ts";
import { measureCpu, measureProcess } from "./measure.ts";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));

/** The daemon at rest, and its answers while a worker is busy. */
export async function measureDaemon(directory: string, database: string, idleSeconds: number): Promise<readonly string[]> {
  const place = join(directory, "daemon");
  mkdirSync(place);
  const config = join(place, "holdfast.yaml");
  writeFileSync(
    config,
    `settings: { stateDir: ${place}/state, runtimeDir: ${place}/run, logLevel: warn }
destinations: { local: { kind: local, path: ${place}/backups } }
datastores: { big: { kind: sqlite, path: ${database} } }
jobs:
  one: { datastores: [big], schedule: daily, destination: local, compression: zstd }
  two: { datastores: [big], schedule: weekly, destination: local, verify: weekly, drill: monthly }
  three: { datastores: [big], schedule: every 6h, destination: local, retention: { keepDaily: 7 } }
`,
  );
  spawnSync(process.execPath, [main, "--config", config, "destination", "init", "local"], { stdio: "inherit" });
  const daemon = spawn(process.execPath, [main, "--config", config, "daemon"], { stdio: ["ignore", "inherit", "inherit"] });
  try {
    const client = new ControlClient(join(place, "run/status.sock"));
    const signal = new AbortController().signal;
    const ask = (): Promise<unknown> => client.send({ method: "GET", path: "/status" }, signal);
    while (
      !(await ask().then(
        () => true,
        () => false,
      ))
    )
      await delay(100);
    // Past the first minute's look at everything, which runs code for the first time.
    await delay(idleSeconds * 1_000 + 5_000);
    const pid = daemon.pid ?? 0;
    const cpuBefore = measureCpu(pid);
    await delay(idleSeconds * 1_000);
    const cpu = (measureCpu(pid) - cpuBefore) / (idleSeconds * 10);
    const memory = measureProcess(pid);
    const busy = spawn(process.execPath, [main, "--config", config, "backup", "one"], { stdio: ["ignore", "ignore", "inherit"] });
    const answers: number[] = [];
    while (busy.exitCode === null) {
      const startedAtMs = performance.now();
      await ask();
      answers.push(performance.now() - startedAtMs);
      await delay(5);
    }
    answers.sort((one, other) => one - other);
    const at = (share: number): string => `${(answers[Math.floor((answers.length - 1) * share)] ?? 0).toFixed(1)} ms`;
    return [
      "\n## The daemon\n",
      "| what | measured |\n| --- | --- |",
      `| at rest for ${idleSeconds} s, three jobs: memory | ${Math.round(memory / (1 << 20))} MiB |`,
      `| at rest: processor | ${cpu.toFixed(2)} % of one core |`,
      `| GET /v1/status during a backup of the large database, ${answers.length} answers: median, p99, longest | ${at(0.5)}, ${at(0.99)}, ${at(1)} |`,
    ];
  } finally {
    daemon.kill("SIGTERM");
    await new Promise((resolve) => daemon.once("exit", resolve));
  }
}
