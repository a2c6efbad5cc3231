import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { formatInstant } from "../../base/clock.ts";
import { describeBytes } from "../../base/describe-amount.ts";
import type { Note } from "../../base/note.ts";
import type { RestoreOptions, TargetFacts } from "../contract.ts";
import { isEmpty } from "./dump.ts";
import type { RedisConnection } from "./redis-connection.ts";
import type { Endpoint } from "./endpoint.ts";
import { awaitsStop, findReachability, openTarget, planFollowing, readLiveTarget, refuseManaged, type LiveTarget } from "./live-target.ts";
import type { RedisOptions } from "./options.ts";
import { mayPauseWrites } from "./pause-writes.ts";
import { findServerFiles, readAofSettings, type AofSettings } from "./server-files.ts";
import { describeVersion, parseKeyspace, type Info } from "./server-facts.ts";
import { Secret } from "../../base/secret.ts";

interface Inspection {
  readonly absent: boolean;
  readonly application: RestoreOptions["application"] | undefined;
  /** As the server has told them, where it ran. */
  readonly aof: AofSettings | undefined;
}

/** What a restore would find now. How it replaces is decided again when it does: the server may stop or start meanwhile. */
export async function inspectServer(
  options: RedisOptions,
  endpoint: Endpoint,
  { absent, application, aof }: Inspection,
  signal: AbortSignal,
): Promise<TargetFacts> {
  await using connection = await openTarget(options, endpoint, signal);
  if (connection === undefined) return await inspectFiles(options, options.rdbPath ?? "", { absent, aof });
  const target = await readLiveTarget(connection);
  await refuseManaged(connection, target);
  if (awaitsStop(options, endpoint, connection, application)) return await describeStopping(options, connection, target, { absent, aof });
  const { announce } = findReachability(options, endpoint, connection);
  await planFollowing(connection, { announce, bind: announce }, new Secret("unused"));
  const writes = (await mayPauseWrites(connection)) ? "wait" : "go on";
  return {
    ...describeLive(connection, target, { announce, absent, writes }),
    ...((await isEmpty(connection)) ? { holds: "nothing" } : {}),
  };
}

interface LivePlan {
  readonly announce: string;
  readonly absent: boolean;
  /** Of clients, while the present data is put aside. */
  readonly writes: keyof typeof losses;
}

const losses = {
  wait: "what they write once the present data is being saved is gone after the restore; if that fails, nothing of it is lost",
  "go on":
    "what they write while the restore begins is lost, even if it is rolled back: the server is older than 6.2, or does not allow CLIENT PAUSE",
} as const;

function describeLive(connection: RedisConnection, { info, version }: LiveTarget, { announce, absent, writes }: LivePlan): TargetFacts {
  const keys = [...parseKeyspace(info).values()].reduce((sum, database) => sum + database.keys, 0);
  const bytes = Number(info.get("used_memory") ?? 0);
  const clients = Number(info.get("connected_clients") ?? 1) - 1;
  const pid = Number(info.get("process_id") ?? 0);
  const what = absent ? "empties the server" : "replaces everything in the server (all databases, and functions)";
  const notes: Note[] = [];
  if (clients > 0) {
    notes.push({
      level: "warning",
      code: "clients",
      message: `${clients} client${clients === 1 ? " is" : "s are"} connected; ${losses[writes]}`,
    });
  }
  return {
    summary: `${describeVersion(version)} at ${connection.where}, ${describeBytes(bytes)} in memory, ${keys} key${keys === 1 ? "" : "s"}`,
    present: true,
    bytes,
    method: `${what}, by replication from a private server here (${announce}); its clients can read meanwhile, and get READONLY for what they write`,
    // The present data is put aside as a file, too.
    neededBytes: 2 * bytes,
    notes,
    saveStagingBytes: bytes,
    ...describeChanges(info),
    // The server itself: with clients at work, what is in it right after a restore need not be what was restored.
    users: clients > 0 ? [pid] : [],
  };
}

/** A server tells how much has changed since its last save, and not when. */
function describeChanges(info: Info): Pick<TargetFacts, "changes"> {
  const [changes, savedAt] = ["rdb_changes_since_last_save", "rdb_last_save_time"].map((name) => Number(info.get(name) ?? Number.NaN));
  if (changes === undefined || savedAt === undefined || !Number.isFinite(changes) || !Number.isFinite(savedAt)) return {};
  const at = formatInstant(savedAt * 1000);
  return {
    changes: changes === 0 ? `nothing since its last save or start, ${at}` : `${changes} changes since its last save or start, ${at}`,
  };
}

/** Looked at again when the stop commands have run. */
async function describeStopping(
  options: RedisOptions,
  connection: RedisConnection,
  target: LiveTarget,
  { absent, aof }: Pick<Inspection, "absent" | "aof">,
): Promise<TargetFacts> {
  const live = describeLive(connection, target, { announce: "", absent, writes: "go on" });
  const { method } = await inspectFiles(options, options.rdbPath ?? "", { absent, aof: aof ?? (await readAofSettings(connection)) });
  const pid = Number(target.info.get("process_id") ?? 0);
  return { ...live, method: `${method}, once the stop commands have stopped the server`, notes: [], users: [pid] };
}

async function inspectFiles(
  options: RedisOptions,
  rdb: string,
  { absent, aof: settings }: Pick<Inspection, "absent" | "aof">,
): Promise<TargetFacts> {
  const { aof } = await findServerFiles(options, rdb, settings);
  const size = async (path: string): Promise<number | undefined> =>
    stat(path).then(
      (stats) => stats.size,
      () => undefined,
    );
  const bytes = await size(rdb);
  const present = bytes !== undefined || (aof !== undefined && (await size(aof.path)) !== undefined);
  const files = aof === undefined ? rdb : `${rdb} and ${aof.path}`;
  return {
    summary: present ? `a stopped server, ${files}, ${describeBytes(bytes ?? 0)}` : `${rdb} does not exist`,
    present,
    bytes: bytes ?? 0,
    method: absent ? `puts ${files} aside` : `replaces ${files}`,
    neededBytes: bytes ?? 0,
    notes: aof === undefined && settings === undefined ? [unknownAof] : [],
    users: [],
    neededAt: dirname(rdb),
  };
}

const unknownAof: Note = {
  level: "warning",
  code: "aof-unknown",
  message:
    "no append-only files were found; if the server has `appendonly yes`, it reads only those, and starts empty or with older data: set aofDir to their directory then",
};
