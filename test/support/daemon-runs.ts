import { readdirSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import Database from "better-sqlite3";
import type { Run } from "../../src/catalog/contract.ts";
import type { Status, TaskStatus } from "../../src/operations/read-status.ts";
import type { TaskEnd } from "../../src/operations/watch-task.ts";
import { readErrno } from "../../src/base/errors.ts";
import { ControlClient } from "../../src/control/client.ts";
import { createInstallation, type Installation } from "./daemon.ts";
import { readProcess } from "./processes.ts";
import { waitUntil } from "./wait-until.ts";

/** Processes with this marker in their environment, that is the worker of a task and everything below it. */
export function findTaskProcesses(task: string): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && readProcess(name, "environ").split("\0").includes(`HOLDFAST_TASK=${task}`))
    .map(Number);
}

/** Kills the worker of a task, and nothing below it, or has it stand still; gives how many processes that were. */
export function killWorkers(task: string, signal: "SIGKILL" | "SIGSTOP" = "SIGKILL"): number {
  return findTaskProcesses(task).filter((pid) => {
    if (!readProcess(pid, "cmdline").split("\0").includes("worker")) return false;
    try {
      return process.kill(pid, signal);
    } catch {
      return false; // gone meanwhile
    }
  }).length;
}

export function countDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

export function readResidentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readProcess(pid, "status"))?.[1] ?? 0) * 1024;
}

/** An installation with two SQLite databases, `one` and `two`, a directory for large files, and a local destination that is ready. */
export interface RunBed extends Installation {
  readonly client: ControlClient;
  readonly jobs: string;
  /** Asks for a backup. */
  ask(job: string, body?: Readonly<Record<string, unknown>>): Promise<string>;
  /** Waits until a task has ended. */
  end(task: string): Promise<TaskEnd>;
  status(): Promise<Status>;
  task(id: string): Promise<TaskStatus | undefined>;
  runs(): Promise<readonly Run[]>;
  /** Names at the destination, hidden ones included, the marker left out. */
  stored(folder: string): readonly string[];
  /** Names in the staging directory. */
  staged(): readonly string[];
}

const noSignal = new AbortController().signal;

/** @param jobs the `jobs:` section, two spaces indented */
export async function createRunBed(
  jobs: string,
  extra: (dir: string) => string = () => "",
  env: Readonly<Record<string, string>> = {},
): Promise<RunBed> {
  const config = (dir: string): string =>
    `destinations:\n  local: { kind: local, path: ${dir}/backups }\ndatastores:\n  one: { kind: sqlite, path: ${dir}/data/one.db }\n  two: { kind: sqlite, path: ${dir}/data/two.db }\n  large: { kind: files, include: ["${dir}/data/*.bin"] }\n${extra(dir)}jobs:\n${jobs}`;
  const installation = await createInstallation({ config, env });
  await mkdir(join(installation.dir, "data"));
  for (const name of ["one", "two"]) {
    const database = new Database(join(installation.dir, `data/${name}.db`));
    database.exec("CREATE TABLE t (a)");
    database.prepare("INSERT INTO t VALUES (?)").run(randomBytes(20_000));
    database.close();
  }
  await installation.holdfast(["destination", "init", "local"]);
  const client = new ControlClient(installation.socketPath);
  const list = (path: string): readonly string[] => {
    try {
      return readdirSync(path).filter((name) => name !== ".holdfast-destination.json");
    } catch {
      return [];
    }
  };
  return {
    ...installation,
    client,
    jobs,
    ask: async (job, body = {}) =>
      (await client.send<{ task: string }>({ method: "POST", path: `/jobs/${job}/backups`, body }, noSignal)).task,
    async end(task) {
      for await (const line of client.stream<TaskEnd>({ method: "GET", path: `/tasks/${task}/watch` }, noSignal))
        if (line.ended) return line;
      throw new Error(`The task ${task} was not watched to its end`);
    },
    status: () => client.send<Status>({ method: "GET", path: "/status" }, noSignal),
    task: async (id) => (await client.send<Status>({ method: "GET", path: "/status" }, noSignal)).tasks.find((task) => task.id === id),
    runs: () => client.send<readonly Run[]>({ method: "GET", path: "/runs" }, noSignal),
    stored: (folder) => list(join(installation.dir, "backups", folder)),
    staged: () => list(join(installation.dir, "state/staging")),
  };
}

/** Makes a run of the datastore `large` take long: what nobody can compress. */
export async function writeLargeFile(bed: Installation, mebibytes: number): Promise<void> {
  await writeFile(join(bed.dir, "data/large.bin"), randomBytes(mebibytes << 20));
}

/** Sends a signal to the worker of a task and everything below it; what ends meanwhile has ended. */
export function signalTask(task: string, signal: NodeJS.Signals): void {
  for (const pid of findTaskProcesses(task)) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (readErrno(error) !== "ESRCH") throw error;
    }
  }
}

/** Stops the worker of a task as soon as it has begun, and everything below it: the run goes on when it is thawed, and not before. */
export async function freezeTask(task: string): Promise<Disposable & { thaw(): void }> {
  await waitUntil(`a worker of ${task}`, () => findTaskProcesses(task).length > 0);
  signalTask(task, "SIGSTOP");
  const thaw = (): void => signalTask(task, "SIGCONT");
  return { thaw, [Symbol.dispose]: thaw };
}
