import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "./run-command.ts";
import { applicationCommand } from "./example-config.ts";

export interface Acknowledged {
  readonly database: string;
  readonly run: string;
  readonly id: number;
}

export interface Stats {
  readonly pid: number;
  /** Of this process; a restart has another one. */
  readonly run: string;
  readonly rows: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** A daemonised process that holds databases open and writes to them: see test/fixtures/programs/live-application.ts. */
export interface LiveApplication extends AsyncDisposable {
  readonly dir: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Undefined when it does not run. */
  pid(): Promise<number | undefined>;
  stats(): Promise<Stats>;
  /** Everything that it has committed, of all its runs. */
  acknowledged(): Promise<readonly Acknowledged[]>;
}

/** Makes its directory. Closing stops it. */
export async function openApplication(
  dir: string,
  application: { readonly databases: readonly string[]; readonly port?: number; readonly log?: string },
): Promise<LiveApplication> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, "application.json"), JSON.stringify(application));
  const run = async (action: string): Promise<string> => (await runCommand([...applicationCommand(action), dir])).stdout;
  return {
    dir,
    start: async () => void (await run("start")),
    stop: async () => void (await run("stop")),
    pid: async () => Number((await runCommand([...applicationCommand("pid"), dir], { accept: [0, 1] })).stdout) || undefined,
    stats: async () => (await (await fetch(`http://localhost:${application.port}/api/memory/stats`)).json()) as Stats,
    acknowledged: async () =>
      (await readFile(join(dir, "acknowledged.jsonl"), "utf8"))
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Acknowledged),
    [Symbol.asyncDispose]: async () => void (await run("stop")),
  };
}
