import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../scripts/holdfast", import.meta.url));

export interface DaemonOptions {
  /** The config file's text. State, runtime and staging directories are given by environment and need not stand in it. */
  readonly config: string | ((dir: string) => string);
  /** Of the installation; a fresh one in TMPDIR when absent, removed when the installation is closed. */
  readonly dir?: string;
  /** Destinations to make before the daemon starts. */
  readonly init?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface CallOptions {
  /** For standard input; without it there is none. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Done once, as soon as its standard error says the text; `interrupt` sends SIGINT. */
  readonly whenSaid?: { readonly text: RegExp; readonly act: "interrupt" | (() => void) };
}

export interface CallResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A config with directories of its own, on which the command line and daemons can be run. */
export interface Installation extends AsyncDisposable {
  readonly dir: string;
  readonly configPath: string;
  readonly socketPath: string;
  readonly statusSocketPath: string;
  /** For programs that are run by hand. */
  readonly env: Readonly<Record<string, string>>;
  /** Runs `holdfast --config … ARGS` to its end. */
  holdfast(args: readonly string[], options?: CallOptions): Promise<CallResult>;
  /** The same, and the parsed document of `--json`. @throws when the exit status is not the expected one (0) */
  json<Answer>(args: readonly string[], status?: number): Promise<Answer>;
  writeConfig(text: string): Promise<void>;
  /** Resolves once the daemon is ready. @throws with its log when it ends before. */
  start(): Promise<RunningDaemon>;
}

export interface RunningDaemon extends AsyncDisposable {
  readonly pid: number;
  /** All that it has said so far. */
  log(): string;
  /** Resolves with what `find` matched in the log, as soon as it stands there. @throws when the daemon ends without it. */
  waitForLog(find: RegExp): Promise<string>;
  /** SIGTERM; resolves with the exit status. */
  stop(): Promise<number | null>;
  /** SIGKILL; resolves when the process is gone. Workers and their children die with it. */
  kill(): Promise<void>;
  readonly ended: Promise<number | null>;
}

export type StartedDaemon = Installation & Omit<RunningDaemon, keyof AsyncDisposable>;

/** Makes directories and a config. Closing stops every daemon that was started on it and removes a directory made here. */
export async function createInstallation(options: DaemonOptions): Promise<Installation> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), "d-")));
  const configPath = join(dir, "holdfast.yaml");
  await mkdir(join(dir, "run"), { recursive: true });
  await writeFile(configPath, typeof options.config === "string" ? options.config : options.config(dir));
  const env = {
    ...inheritEnvironment(),
    HOLDFAST_STATE_DIR: join(dir, "state"),
    HOLDFAST_RUNTIME_DIR: join(dir, "run"),
    HOLDFAST_HOOKS: "direct",
    NO_COLOR: "1",
    ...options.env,
  };
  const daemons = new Set<RunningDaemon>();
  const installation: Installation = {
    dir,
    configPath,
    socketPath: join(dir, "run/admin.sock"),
    statusSocketPath: join(dir, "run/status.sock"),
    env,
    holdfast: (args, call = {}) => runProgram(["--config", configPath, ...args], { ...call, env: { ...env, ...call.env } }),
    async json<Answer>(args: readonly string[], status = 0) {
      const result = await installation.holdfast(["--json", ...args]);
      if (result.status === status) return JSON.parse(result.stdout) as Answer;
      throw new Error(`holdfast ${args.join(" ")} exited with ${result.status}, not ${status}\n${result.stdout}${result.stderr}`);
    },
    writeConfig: (text) => writeFile(configPath, text),
    async start() {
      const daemon = await startProgram(configPath, env);
      daemons.add(daemon);
      return daemon;
    },
    async [Symbol.asyncDispose]() {
      for (const daemon of daemons) await daemon[Symbol.asyncDispose]();
      if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
    },
  };
  for (const name of options.init ?? []) {
    const { status, stderr } = await installation.holdfast(["destination", "init", name]);
    if (status !== 0) throw new Error(`destination init ${name} exited with ${status}: ${stderr}`);
  }
  return installation;
}

/** An installation with a daemon that is ready. Closing stops it. */
export async function startDaemon(options: DaemonOptions): Promise<StartedDaemon> {
  const installation = await createInstallation(options);
  try {
    const { pid, log, waitForLog, stop, kill, ended } = await installation.start();
    return { ...installation, pid, log, waitForLog, stop, kill, ended };
  } catch (error) {
    await installation[Symbol.asyncDispose]();
    throw error;
  }
}

/** Runs the command line alone, with no config of its own. */
export async function runProgram(args: readonly string[], options: CallOptions = {}): Promise<CallResult> {
  const child = spawn(program, args, {
    env: { ...inheritEnvironment(), NO_COLOR: "1", ...options.env },
    stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  const collected = { stdout: "", stderr: "" };
  let pending = options.whenSaid;
  for (const name of ["stdout", "stderr"] as const)
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      collected[name] += text;
      if (pending?.text.test(collected.stderr) !== true) return;
      const { act } = pending;
      pending = undefined;
      if (act === "interrupt") child.kill("SIGINT");
      else act();
    });
  child.stdin?.end(options.input);
  const [status, by] = (await once(child, "close")) as [number | null, string | null];
  if (status === null) throw new Error(`holdfast ${args.join(" ")} was killed by ${by}\n${collected.stdout}${collected.stderr}`);
  return { status, ...collected };
}

/** Settings of whoever runs the tests must not reach the program; the run's own marker must. */
function inheritEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("HOLDFAST_") || name === "HOLDFAST_TEST_RUN");
  return Object.fromEntries(kept.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

async function startProgram(configPath: string, env: Readonly<Record<string, string>>): Promise<RunningDaemon> {
  const child = spawn(program, ["--config", configPath, "daemon"], { env, stdio: ["ignore", "pipe", "pipe"] });
  const daemon = followDaemon(child);
  await daemon.waitForLog(/\bReady\b/);
  return daemon;
}

function followDaemon(child: ChildProcess): RunningDaemon {
  let text = "";
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const look of waiting) look();
  };
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      wake();
    });
  let gone = false;
  const ended = new Promise<number | null>((resolve) => {
    child.once("close", (code) => {
      gone = true;
      resolve(code);
      wake();
    });
  });
  const end = async (name: "SIGTERM" | "SIGKILL"): Promise<number | null> => {
    if (!gone) child.kill(name);
    return await ended;
  };
  return {
    pid: child.pid ?? 0,
    log: () => text,
    waitForLog: (find) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = find.exec(text);
          if (found === null && !gone) return;
          waiting.delete(look);
          if (found === null) reject(new Error(`The daemon ended before its log said ${String(find)}:\n${text}`));
          else resolve(found[0]);
        };
        waiting.add(look);
        look();
      }),
    stop: () => end("SIGTERM"),
    async kill() {
      await end("SIGKILL");
    },
    ended,
    async [Symbol.asyncDispose]() {
      await end("SIGTERM");
    },
  };
}
