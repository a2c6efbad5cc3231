import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { CatalogBackup, Run } from "../../src/catalog/contract.ts";
import { ControlClient } from "../../src/control/client.ts";
import type { Status } from "../../src/operations/read-status.ts";
import type { Message } from "../../src/telemetry/notification.ts";
import type { Installation } from "./daemon.ts";
import { findTaskProcesses } from "./daemon-runs.ts";
import type { Receiver } from "./receiver.ts";
import { waitUntil } from "./wait-until.ts";

/** An installation whose daemon runs, with a good backup of every job, and a channel that is told of failures. */
export interface FailureBed {
  readonly installation: Installation;
  readonly receiver: Receiver;
  /** Of the destination of a job. */
  place(job: string): string;
}

/** One way to break a backup, and what is to be said of it. */
export interface Breakage {
  readonly job: string;
  /** Done before the run. */
  readonly breaks?: () => unknown;
  /** Done while it goes on; resolves when it has struck. */
  readonly strikes?: (run: RunningBackup) => Promise<void>;
  readonly mends?: () => unknown;
  readonly says: RegExp;
  /** The gist of the hint. */
  readonly remedy: RegExp;
}

export interface RunningBackup {
  /** Resolves with a process of the run that has this name. @throws when none comes */
  findProcess(name: string): Promise<number>;
  /** Resolves with what `look` gives as soon as it gives something. @throws when the run ends before */
  waitUntil<Value>(what: string, look: () => Value | undefined | false | Promise<Value | undefined | false>): Promise<Value>;
}

const noSignal = new AbortController().signal;

/**
 * Breaks a backup and looks at everything that could be taken for a success: it ends as a failure, one line explains it and a hint names the
 * remedy, nothing is published or left behind, the good backup stays (the job keeps one) and the status says what is wrong, and it is told.
 */
export async function assertNoFalseSuccess(bed: FailureBed, breakage: Breakage): Promise<void> {
  const { installation, receiver } = bed;
  const { job } = breakage;
  const before = await look(bed, job);
  assert.equal(before.backups.length, 1, "there is one good backup");
  await breakage.breaks?.();
  let result;
  try {
    const ended = installation.holdfast(["backup", job]);
    const struck = breakage.strikes?.(followRun(bed, job, ended));
    [result] = await Promise.all([ended, struck]);
  } finally {
    await breakage.mends?.();
  }
  const { status, stdout, stderr } = result;
  assert.equal(status, 1, `the run failed\n${stdout}${stderr}`);
  const client = new ControlClient(installation.socketPath);
  const runs = await client.send<readonly Run[]>({ method: "GET", path: "/runs" }, noSignal);
  const run = runs.find((each) => each.job === job);
  assert.ok(run?.kind === "backup" && run.state === "failed" && run.error !== undefined, JSON.stringify(run));
  const { message, hint = "" } = run.error;
  assert.match(message, breakage.says);
  assert.doesNotMatch(message, /\n/, "it is one line");
  assert.match(hint, breakage.remedy);
  assert.ok(stderr.includes(message) && stderr.includes(hint), stderr);

  const now = await look(bed, job);
  assert.deepEqual({ ...now, status: before.status }, before, "nothing is published, left behind or removed");
  assert.equal(now.status.state, "failed");
  assert.ok(
    now.status.problems.some((problem) => problem.includes(message)),
    now.status.problems.join("\n"),
  );
  const { body } = await receiver.waitFor((request) => (JSON.parse(request.body) as Message).runId === run.id);
  const told = JSON.parse(body) as Message;
  assert.deepEqual([told.kind, told.job], ["failure", job]);
  assert.ok(told.text.includes(message), told.text);
  assert.ok(told.text.includes(hint), `who is told is told the remedy: ${told.text}`);
}

/** Names of a job's backups, newest first. */
export async function listBackups({ socketPath }: Installation, job: string): Promise<readonly string[]> {
  const all = await new ControlClient(socketPath).send<readonly CatalogBackup[]>({ method: "GET", path: "/backups" }, noSignal);
  return all.filter((each) => each.job === job).map(({ name }) => name);
}

interface Sight {
  readonly backups: readonly string[];
  /** Names at the destination and in the staging directory, hidden ones included. */
  readonly files: readonly string[];
  readonly newestGood: string | undefined;
  readonly status: Status["jobs"][number];
}

async function look({ installation, place }: FailureBed, job: string): Promise<Sight> {
  const list = (path: string): readonly string[] =>
    readdirSync(path, { recursive: true, encoding: "utf8" }).map((name) => join(path, name));
  const files = [...list(place(job)), ...list(join(installation.dir, "state/staging"))].toSorted();
  const client = new ControlClient(installation.socketPath);
  const backups = await listBackups(installation, job);
  const { jobs } = await client.send<Status>({ method: "GET", path: "/status" }, noSignal);
  const status = jobs.find((each) => each.job === job) ?? assert.fail();
  return { backups, files, newestGood: status.newestGood?.name, status };
}

function followRun({ installation }: FailureBed, job: string, ended: Promise<unknown>): RunningBackup {
  let over = false;
  void ended.finally(() => {
    over = true;
  });
  const client = new ControlClient(installation.socketPath);
  const waitWhileItRuns: RunningBackup["waitUntil"] = (what, find) =>
    waitUntil(what, async () => {
      const found = await find();
      if (over && (found === undefined || found === false)) throw new Error(`The run ended before: ${what}`);
      return found;
    });
  return {
    waitUntil: waitWhileItRuns,
    async findProcess(name) {
      const { id: task } = await waitWhileItRuns("the task", async () => {
        const { tasks } = await client.send<Status>({ method: "GET", path: "/status" }, noSignal);
        return tasks.find((each) => each.job === job);
      });
      return await waitWhileItRuns(`a process ${name}`, () => findTaskProcesses(task).find((pid) => readName(pid) === name));
    },
  };
}

function readName(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").trim();
  } catch {
    return "";
  }
}
