import type { Compression } from "../archive/compression.ts";
import type { ChannelEvent } from "../base/channel-events.ts";
import type { Secret } from "../base/secret.ts";
import type { Copying } from "../datastores/contract.ts";
import type { RetentionPolicy } from "../retention/policy.ts";
import type { Schedule } from "../schedule/parse-schedule.ts";

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal"] as const;
/** `auto`: journal under systemd, text on a terminal, else json. */
export const logFormats = ["auto", "json", "text", "journal"] as const;
export const layouts = ["directory", "archive", "file"] as const;
export const infoFileNames = ["backup_info.txt", "backup-metadata.json"] as const;

export type LogLevel = (typeof logLevels)[number];
export type LogFormat = (typeof logFormats)[number];
export type Layout = (typeof layouts)[number];
export type InfoFileName = (typeof infoFileNames)[number];

/** The daemon's own settings; see setting-definitions.ts for their defaults and environment variables. */
export interface Settings {
  readonly stateDir: string;
  readonly runtimeDir: string;
  readonly stagingDir: string;
  /** IANA zone, for jobs that name none. */
  readonly timezone: string;
  /** Tasks that may run at the same time. */
  readonly concurrency: number;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly socketPath: string;
  readonly statusSocketPath: string;
  /** Gets the admin socket when the group exists. */
  readonly socketGroup: string;
  /** How long running tasks may go on after the first SIGTERM. */
  readonly drainMs: number;
  readonly auditKeepMs: number;
  readonly historyKeepMs: number;
  /** How long what `restore --to scratch` makes is kept. */
  readonly scratchKeepMs: number;
  /** Written into manifests and names. */
  readonly hostname: string;
}

export interface DatastoreConfig {
  readonly name: string;
  readonly kind: string;
  /** For the driver's `configure`, which accepts them: they were checked against its schema. May hold Secrets. */
  readonly options: unknown;
  /** Whether its absence is no failure. */
  readonly optional: boolean;
  /** Overrides what the job says. */
  readonly onMissing?: "fail" | "skip";
  /** Overrides what the job says. */
  readonly shrink?: "off" | { readonly ratio: number };
  /** Whose server it is. */
  readonly service?: ServiceConfig;
  /** How it stands while it is copied; `live` when absent. Anything else is something that its service, which is there then, can do. */
  readonly copy?: Exclude<Copying, "live">;
  /** Overrides what the job says. In an archive only its level may differ. */
  readonly compression?: Compression;
}

export interface DestinationConfig {
  readonly name: string;
  readonly kind: string;
  /** As DatastoreConfig.options. */
  readonly options: unknown;
  /** False: its absence (an unplugged NAS) is a warning. */
  readonly required: boolean;
}

/** A command of the operator's: an argument list, never a shell unless it names one. */
export interface Hook {
  readonly command: readonly string[];
  /** Account that runs it; Holdfast's own when absent. */
  readonly runAs?: string;
  readonly cwd?: string;
  /** Secrets all: nothing tells which of them is one. */
  readonly env?: Readonly<Record<string, string | Secret>>;
  readonly timeoutMs: number;
}

/** Asks how a service stands. */
export interface StateQuestion extends Hook {
  /**
   * How the answer is read: the properties of a systemd unit, the state of a container, the containers of docker compose as JSON, or an exit
   * status: 0 it runs, 1 or 3 it does not, everything else is no answer.
   */
  readonly answer: "unit" | "container" | "compose" | "status";
}

/** The server of a datastore, and how it is made to stand still and to go on. What it cannot do has no hooks. */
export interface ServiceConfig {
  /** Two with one key are one service: only one task at a time makes it stand still. */
  readonly key: string;
  /** For people: `the unit neo4j.service`. */
  readonly what: string;
  readonly stop: readonly Hook[];
  readonly start: readonly Hook[];
  readonly pause: readonly Hook[];
  readonly resume: readonly Hook[];
  /** Absent where nobody can be asked; then it is taken to run. */
  readonly ask?: StateQuestion;
  /** How long it may stand still for a copy. */
  readonly maxDowntimeMs: number;
}

export interface HttpCheck {
  readonly kind: "http";
  readonly http: string;
  readonly status: number;
  /** Text that the body must contain. */
  readonly contains?: string;
  /** Of one attempt. */
  readonly timeoutMs: number;
  /** An application that is still starting is asked again for this long. */
  readonly retryForMs: number;
}

export interface CommandCheck extends Hook {
  readonly kind: "command";
  /** The exit status of a command that finds all well; 0 by default. */
  readonly status?: number;
  /** Text that its standard output must contain. */
  readonly contains?: string;
  readonly retryForMs: number;
}

/** A question to a datastore, and the answer that it must give (A14). With no bound at all: a row whose first column is not null, false or 0. */
export interface SqlCheck {
  readonly kind: "sql";
  readonly sql: string;
  /** Its name in the config. */
  readonly datastore: string;
  readonly equals?: string | number | boolean;
  readonly atLeast?: number;
  readonly atMost?: number;
  /** Of one attempt. */
  readonly timeoutMs: number;
  readonly retryForMs: number;
}

export type Check = HttpCheck | CommandCheck | SqlCheck;

export interface RestoreConfig {
  readonly stop: readonly Hook[];
  readonly start: readonly Hook[];
  readonly check: readonly Check[];
  readonly undoKeepMs: number;
  readonly undoKeepLast: number;
  /** D5: the CLI asks whether to start the services again; without a terminal they are started. */
  readonly askToStart: boolean;
}

/** A file under a name of its own that always holds a datastore as the last good backup has it. */
export interface FixedCopy {
  readonly datastore: string;
  /** Absolute. */
  readonly path: string;
  /** `user:group`; by default that of the file that is replaced, else that of its directory. */
  readonly owner?: string;
  readonly mode: number;
}

export interface JobConfig {
  readonly name: string;
  readonly enabled: boolean;
  /** Names, at least one, without repetition. */
  readonly datastores: readonly string[];
  /** What a datastore that is not there, or whose server does not run, does to a backup: fails it, or is left out of it. */
  readonly onMissing: "fail" | "skip";
  /** `group`: all datastores have one restore point. `each`: each has its own. */
  readonly consistency: "each" | "group";
  /** Of a group: what stops the application from writing while the snapshots are taken, and lets it go on; else empty. */
  readonly freeze: readonly Hook[];
  readonly thaw: readonly Hook[];
  /** Of a group. */
  readonly maxFreezeMs?: number;
  readonly schedule?: Schedule;
  /** IANA zone of the schedules, the names (unless `nameZone` is utc) and the calendar rules of retention. */
  readonly timezone: string;
  readonly atStart: boolean;
  /** No backup at start while a verified one is younger. */
  readonly atStartMinAgeMs: number;
  readonly catchUp: boolean;
  readonly destination: string;
  /** Folder in the destination; "." is its root. */
  readonly folder: string;
  /** Further destinations that get a copy. */
  readonly copies: readonly string[];
  /** Files beside the backups, replaced after each good one. */
  readonly fixedCopies: readonly FixedCopy[];
  readonly layout: Layout;
  /** Checked with `checkNameTemplate`. */
  readonly nameTemplate: string;
  readonly nameZone: "job" | "utc";
  readonly compression: Compression;
  readonly infoFiles: readonly InfoFileName[];
  /** Absent: everything is kept. */
  readonly retention?: RetentionPolicy;
  /** When all of the job's backups are verified. */
  readonly verify?: Schedule;
  /** When its newest verified backup is restored into a scratch place. */
  readonly drill?: Schedule;
  /** Suspect: smaller than `ratio` times the median of the last backups, once there are `minHistory`. */
  readonly shrink: "off" | { readonly ratio: number; readonly minHistory: number };
  readonly restore: RestoreConfig;
  /** Channel names. */
  readonly notify: readonly string[];
  readonly maxDurationMs: number;
  /** Alarm when no verified backup is younger; derived from the schedule when absent. */
  readonly maxAgeMs?: number;
  readonly retry: { readonly attempts: number; readonly backoffMs: number };
  readonly nice?: number;
  readonly ionice?: "idle" | "best-effort";
}

interface ChannelBase {
  readonly name: string;
  readonly timeoutMs: number;
}

export interface CommandChannel extends ChannelBase {
  readonly kind: "command";
  readonly command: readonly string[];
  readonly on: readonly ChannelEvent[];
}

export interface WebhookChannel extends ChannelBase {
  readonly kind: "webhook";
  readonly url: Secret;
  readonly headers: Readonly<Record<string, Secret>>;
  readonly on: readonly ChannelEvent[];
}

/** A dead man's switch: `url` at success, `url/start` and `url/fail` at start and failure of every run. */
export interface PingChannel extends ChannelBase {
  readonly kind: "ping";
  readonly url: Secret;
}

export type ChannelConfig = CommandChannel | WebhookChannel | PingChannel;

/** The whole configuration, resolved and checked; immutable. A reload makes a new one. */
export interface Config {
  /** Absolute path of the main file. */
  readonly path: string;
  readonly settings: Settings;
  readonly datastores: ReadonlyMap<string, DatastoreConfig>;
  readonly destinations: ReadonlyMap<string, DestinationConfig>;
  readonly jobs: ReadonlyMap<string, JobConfig>;
  readonly channels: ReadonlyMap<string, ChannelConfig>;
  /** SHA-256 (hex) of the effective configuration without secrets. */
  readonly fingerprint: string;
  /** Where a value came from, by its dotted path (`jobs.nightly.schedule`): `file:line`, `env NAME`, `flag`. What is not in it is a default. */
  readonly origins: ReadonlyMap<string, string>;
  readonly declared: DeclaredConfig;
}

/** Sections as they stand in the files: references unresolved, secrets `***`. */
export type DeclaredConfig = Readonly<Record<"datastores" | "destinations" | "jobs" | "notify", Readonly<Record<string, unknown>>>>;

/** What is checked together before it becomes a Config. */
export type ConfigParts = Omit<Config, "path" | "fingerprint" | "origins" | "declared">;
