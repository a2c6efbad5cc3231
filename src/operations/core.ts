import type { Catalog } from "../catalog/contract.ts";
import type { Clock } from "../base/clock.ts";
import type { Config } from "../config/config.ts";
import type { Queue } from "../queue/contract.ts";
import type { Log } from "../telemetry/open-log.ts";
import type { Notifier } from "../telemetry/open-notifier.ts";
import type { FactsMemory } from "./job-facts.ts";
import type { Progress } from "./setup.ts";

/** A task that a worker is carrying out now. */
export interface LiveTask {
  readonly runId: string;
  readonly controller: AbortController;
  progress: Progress;
  /** Where each datastore of it stands, by name. */
  readonly datastores: Map<string, Progress>;
}

export interface StuckRestore {
  /** Why it could not be ended. */
  readonly message: string;
  readonly hint?: string;
  readonly sinceMs: number;
  /** How often it was tried. */
  readonly failures: number;
  /** Of the monotonic clock: when it is tried again. */
  readonly dueAtMs: number;
  /** The same by the wall clock as it was then, for people. */
  readonly nextAtMs: number;
}

/** What the daemon's operations share. It lives as long as the daemon; only `config` is replaced, as a whole, by a reload. */
export interface Core {
  config: Config;
  readonly queue: Queue;
  readonly catalog: Catalog;
  readonly log: Log;
  readonly notifier: Notifier;
  readonly clock: Clock;
  /** The program's own entry, for workers. */
  readonly entry: string;
  readonly version: string;
  readonly startedAtMs: number;
  /** Why retention is frozen everywhere: the wall clock jumped. */
  clockJump: string | undefined;
  /** Why the config file as it is now is not in force: the last reload was refused. */
  configProblem: string | undefined;
  readonly facts: FactsMemory;
  /** Restores that were neither finished nor rolled back, by id. */
  readonly stuckRestores: Map<string, StuckRestore>;
  /** Why a place that a job keeps backups at cannot be used now, by the destination's name. */
  readonly destinationProblems: Map<string, string>;
  /** By task id. */
  readonly live: Map<string, LiveTask>;
}
