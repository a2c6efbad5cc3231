import { lstat, readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HoldfastError } from "../../base/errors.ts";
import type { RedisConnection } from "./redis-connection.ts";
import type { RedisOptions } from "./options.ts";
import type { RdbScan } from "./scan-rdb.ts";
import { readInfo, readSetting } from "./server-facts.ts";

/** The files of a stopped server: it reads its append-only files where it has them, and only without them its RDB. */
export interface ServerFiles {
  readonly rdb: string;
  /** A directory of files (since 7.0), or one file that may begin with an RDB. */
  readonly aof: { readonly path: string; readonly form: "directory" | "file"; readonly prefix: string } | undefined;
}

/** What a server says of its append-only files while it runs. */
export interface AofSettings {
  readonly isOn: boolean;
  /** Beside its RDB; undefined in servers before 7.0, which have one file. */
  readonly directory: string | undefined;
  readonly name: string;
}

const usualName = "appendonly.aof";
const manifestEnd = ".manifest";

/** Undefined where the server does not tell them. */
export async function readAofSettings(connection: RedisConnection): Promise<AofSettings | undefined> {
  const read = (name: string): Promise<string | undefined> => readSetting(connection, name).catch(() => undefined);
  const [on, directory, name] = [await read("appendonly"), await read("appenddirname"), await read("appendfilename")];
  return on === undefined ? undefined : { isOn: on === "yes", directory, name: name ?? usualName };
}

/**
 * @param settings what the server said when it still ran; without, its files must tell
 * @throws target-unsafe where they do not
 */
export async function findServerFiles(options: RedisOptions, rdb: string, settings: AofSettings | undefined): Promise<ServerFiles> {
  const beside = dirname(rdb);
  if (settings?.isOn === true && settings.directory === undefined && options.aofDir === undefined)
    return { rdb, aof: { path: join(beside, settings.name), form: "file", prefix: settings.name } };
  const directory = options.aofDir ?? join(beside, settings?.directory ?? "appendonlydir");
  const names = await readdir(directory).catch(() => []);
  const prefix = choosePrefix(directory, names, settings);
  // Named in the config, or told by the server: it has one, even when nothing is in it now.
  if (prefix !== undefined || options.aofDir !== undefined || settings?.isOn === true)
    return { rdb, aof: { path: directory, form: "directory", prefix: prefix ?? settings?.name ?? usualName } };
  const old = join(beside, usualName);
  const present = await lstat(old).then(
    () => true,
    () => false,
  );
  return { rdb, aof: present ? { path: old, form: "file", prefix: usualName } : undefined };
}

/** By the manifest that the server reads; one that begins with `temp-` it was about to write when it died. */
function choosePrefix(directory: string, names: readonly string[], settings: AofSettings | undefined): string | undefined {
  const found = names.filter((name) => name.endsWith(manifestEnd) && !name.startsWith("temp-")).map((name) => basename(name, manifestEnd));
  if (settings?.isOn === true) return settings.name;
  if (found.length < 2 || (settings !== undefined && found.includes(settings.name))) return found.length < 2 ? found[0] : settings?.name;
  throw new HoldfastError(
    "target-unsafe",
    `${directory} has append-only files of ${found.length} names (${found.toSorted().join(", ")}), and which of them the server reads is not known`,
    { hint: "Move those away that its setting appendfilename does not name, or start the server: then it tells." },
  );
}

/**
 * What a server runs on that has been started on replaced files. What it holds may have been changed by its clients since.
 * @throws restore-failed where it has not read them
 */
export async function assertStartedFrom(
  connection: RedisConnection,
  { aof }: ServerFiles,
  { aofDir }: Pick<RedisOptions, "aofDir">,
  scan: RdbScan | undefined,
): Promise<void> {
  const fail = (why: string): never => {
    throw new HoldfastError("restore-failed", `the server at ${connection.where} has not started from the restored data: ${why}`, {
      hint: "Set aofDir to the directory of its append-only files (appenddirname, in its dir), and rdbPath to its RDB file; or restore it while it runs.",
    });
  };
  const settings = await readAofSettings(connection);
  if (settings?.isOn === true) {
    if (aof === undefined) return fail("it has append-only files (appendonly yes), which were not found");
    const place = settings.directory ?? settings.name;
    const isElsewhere = aof.prefix !== settings.name || (aofDir === undefined && basename(aof.path) !== place);
    if (isElsewhere) return fail(`its append-only files are ${place}/${settings.name}, and ${aof.path}/${aof.prefix} were replaced`);
  }
  const persistent = [...(scan?.databases.values() ?? [])].reduce((sum, { keys, expires }) => sum + keys - expires, 0);
  const info = await readInfo(connection, "persistence");
  if (persistent > 0 && info.get("rdb_last_load_keys_loaded") === "0") return fail("it has loaded no key");
}
