import { constants, copyFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeDirectory } from "../../base/atomic-file.ts";
import { compareContents, emptyContents, type Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import { prefixError } from "../../base/prefix-error.ts";
import { createAbortError } from "../../base/subprocess.ts";
import type { DriverContext, RestoreOptions, RestoreSession, SavedMember, StoredEntry, SwapStep, TargetFacts } from "../contract.ts";
import { requireSingleRdb, scanRdbFile, syncFile, writeAndScan } from "./check-rdb.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { describeEndpoint, resolveEndpoint, type Endpoint } from "./endpoint.ts";
import { explainRedisError, targetCodes } from "./explain-error.ts";
import { promote } from "./follow.ts";
import { inspectServer } from "./inspect-target.ts";
import {
  awaitsStop,
  chooseTargetOptions,
  openStarted,
  openTarget,
  readLiveTarget,
  refuseEviction,
  refuseManaged,
  refuseUnfit,
  refuseUnloadable,
  type LiveTarget,
} from "./live-target.ts";
import type { RedisOptions } from "./options.ts";
import { openWritePause } from "./pause-writes.ts";
import { describeFilled, describeKeyspace, describeScan } from "./rdb-contents.ts";
import { replaceFiles } from "./replace-files.ts";
import { openFeed, refuseOlder, replaceLive, type Feed } from "./replace-live.ts";
import { requireSaved } from "./same-server.ts";
import { saveAside } from "./save-aside.ts";
import type { RdbScan } from "./scan-rdb.ts";
import { readInfo } from "./server-facts.ts";
import { assertStartedFrom, findServerFiles, readAofSettings, type AofSettings, type ServerFiles } from "./server-files.ts";
import { describeSource } from "./source-address.ts";
import { assertRoom, findServerDirectory, isWritable, makeWorkDirectory, removeWorkDirectory } from "./work-directory.ts";
import { waitUntilKept } from "./wait-until-kept.ts";

const contentSections = ["keyspace", "memory"] as const;

/** A restore to where the server is: live while it runs, by its files while it is stopped. Which of both is decided again by the swap. */
export class OriginalRestore implements RestoreSession {
  readonly #options: RedisOptions;
  /** With the connection of backups. */
  readonly #given: RedisOptions;
  readonly #endpoint: Endpoint;
  readonly #absent: boolean;
  readonly #application: RestoreOptions["application"];
  readonly #record: RestoreOptions["record"];
  readonly #asideDir: string | undefined;
  readonly #context: DriverContext;
  readonly #resources = new AsyncDisposableStack();
  #directory: string | undefined;
  #scan: RdbScan | undefined;
  #feed: Feed | undefined;
  /** As the server has told them, when it ran. */
  #aof: AofSettings | undefined;
  #replaced: ServerFiles | undefined;
  #swapping = false;

  constructor(options: RedisOptions, { absent, application, record, asideDir }: RestoreOptions, context: DriverContext) {
    this.#given = options;
    this.#options = chooseTargetOptions(options);
    this.#endpoint = resolveEndpoint(this.#options);
    this.#absent = absent;
    this.#application = application;
    this.#record = record;
    this.#asideDir = asideDir;
    this.#context = context;
  }

  inspect(signal: AbortSignal): Promise<TargetFacts> {
    return this.#explained(signal, async () => {
      await this.#requireSaved("ignore", signal);
      return await inspectServer(
        this.#options,
        this.#endpoint,
        { absent: this.#absent, application: this.#application, aof: this.#aof },
        signal,
      );
    });
  }

  async count(signal: AbortSignal): Promise<Readonly<Record<string, number>> | undefined> {
    await using connection = await openTarget(this.#options, this.#endpoint, signal);
    return connection === undefined ? undefined : describeFilled(await readInfo(connection, "keyspace", "stats")).counts;
  }

  assertSaved({ status }: SavedMember, signal: AbortSignal): Promise<void> {
    return this.#explained(signal, () => this.#requireSaved(status === "absent" ? "ignore" : "fail", signal));
  }

  async #requireSaved(unreachable: "ignore" | "fail", signal: AbortSignal): Promise<void> {
    if (this.#given.restoreConnection === undefined) return;
    await using connection = await openTarget(this.#options, this.#endpoint, signal);
    await requireSaved(this.#given, connection, unreachable, signal);
  }

  stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    return this.#explained(signal, async () => {
      await using connection = await openTarget(this.#options, this.#endpoint, signal);
      const target = connection === undefined ? undefined : await this.#readTarget(connection);
      this.#aof = connection === undefined ? undefined : await readAofSettings(connection);
      const parent = await this.#chooseParent(connection);
      const presentBytes = Number(target?.info.get("used_memory_dataset") ?? 0);
      const reserve = async (bytes: number): Promise<void> => {
        if (parent === this.#asideDir) await assertRoom(parent, bytes + presentBytes);
      };
      await reserve(0);
      this.#directory = await makeWorkDirectory(parent, this.#record);
      for await (const entry of entries) {
        requireSingleRdb(entry, this.#scan);
        await reserve(entry.bytes);
        this.#scan = await writeAndScan(entry, this.#rdb, signal, (bytes) => this.#context.progress({ phase: "staging", bytes }));
      }
      if (this.#scan === undefined && !this.#absent) throw new HoldfastError("backup-incomplete", "the backup has no RDB");
      if (connection !== undefined && target !== undefined) await this.#prepare(connection, target, signal);
      return this.#scan === undefined ? emptyContents : describeScan(this.#scan);
    });
  }

  swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    return this.#explained(signal, async () => {
      this.#swapping = true;
      await using connection = await openTarget(this.#options, this.#endpoint, signal);
      try {
        if (connection === undefined) await this.#swapFiles(record);
        else await this.#swapLive(connection, record, signal);
      } catch (error) {
        // The roll-back comes while this is open still, and its private server needs the same port.
        await this.#closeFeed();
        throw error;
      }
    });
  }

  summarize(signal: AbortSignal): Promise<Contents> {
    return this.#explained(signal, async () => {
      await using connection = await openTarget(this.#options, this.#endpoint, signal);
      if (connection !== undefined) return await this.#describeLive(connection, signal);
      if (this.#scan === undefined) return emptyContents;
      return describeScan(await scanRdbFile(this.#requireRdbPath(), Date.now(), signal));
    });
  }

  /** Only files tell nothing of what the server makes of them; one that was not started again by now tells nothing either. */
  confirm(signal: AbortSignal): Promise<"proven" | "unknown"> {
    return this.#explained(signal, async () => {
      if (this.#replaced === undefined) return "proven";
      await using connection = await openStarted(this.#options, this.#endpoint, signal);
      if (connection === undefined) return "unknown";
      await assertStartedFrom(connection, this.#replaced, this.#options, this.#scan);
      return "proven";
    });
  }

  get #rdb(): string {
    return join(this.#directory ?? "", "restored.rdb");
  }

  /**
   * On the disk of the server where that is this machine's and open to us, which a service's sandbox need not leave it; in any case where it
   * outlives this process.
   */
  async #chooseParent(connection: RedisConnection | undefined): Promise<string> {
    const { asideDir, rdbPath } = this.#options;
    if (connection === undefined) return dirname(this.#requireRdbPath());
    const found = asideDir ?? (await findServerDirectory(connection, this.#endpoint));
    const isClosed = asideDir === undefined && this.#asideDir !== undefined && found !== undefined && !(await isWritable(found));
    const own = isClosed ? undefined : found;
    if (own !== undefined || rdbPath !== undefined) return own ?? dirname(rdbPath ?? "");
    if (this.#asideDir === undefined) return this.#context.stagingDir;
    await makeDirectory(this.#asideDir, 0o700);
    return this.#asideDir;
  }

  async #readTarget(connection: RedisConnection): Promise<LiveTarget> {
    const target = await readLiveTarget(connection);
    await refuseManaged(connection, target);
    return target;
  }

  async #prepare(connection: RedisConnection, target: LiveTarget, signal: AbortSignal): Promise<void> {
    if (!awaitsStop(this.#options, this.#endpoint, connection, this.#application)) await this.#prepareFeed(connection, target, signal);
    else if (this.#scan !== undefined) await refuseUnloadable(connection, target, this.#scan);
  }

  /** The data is proven to load before anything is touched. */
  async #prepareFeed(connection: RedisConnection, target: LiveTarget, signal: AbortSignal): Promise<Feed> {
    if (this.#scan !== undefined) await refuseUnfit(connection, target, this.#scan);
    if (this.#feed !== undefined) return this.#feed;
    this.#context.progress({ phase: "loading" });
    const rdb = this.#scan === undefined ? {} : { rdb: { path: this.#rdb, scan: this.#scan } };
    const directory = this.#directory ?? this.#context.stagingDir;
    const feed = this.#resources.use(await openFeed(this.#options, this.#endpoint, connection, { directory, ...rdb }, signal));
    refuseOlder(target, feed, connection);
    this.#feed = feed;
    return feed;
  }

  async #swapLive(connection: RedisConnection, record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    const before = await this.#readTarget(connection);
    const feed = await this.#prepareFeed(connection, before, signal);
    const aside = join(this.#directory ?? "", "former.rdb");
    this.#context.progress({ phase: "putting the present data aside" });
    // From the moment of the copy to the replacement no write is answered: it would be in neither.
    await using pause = await openWritePause(connection);
    await saveAside(this.#options, this.#endpoint, connection, aside, signal);
    const target = await this.#readTarget(connection);
    this.#context.progress({ phase: "replacing" });
    await replaceLive(this.#options, connection, { target, feed, aside, pause }, record, signal);
    const expected = this.#scan === undefined ? emptyContents : describeScan(this.#scan);
    // Now nobody can have changed anything yet.
    const differences = compareContents(expected, await this.#describeLive(connection, signal));
    if (differences.length > 0)
      throw new HoldfastError("restore-failed", `the server at ${connection.where} holds other data than the backup: ${differences[0]}`);
    if (this.#scan !== undefined) await refuseEviction(connection);
    await promote(connection, feed.following);
    // It holds as much memory as the target, which is going to fork. What it cannot remove goes with the restore's directory.
    await this.#closeFeed();
    await waitUntilKept(connection, this.#options.saveTimeout, signal);
  }

  async #closeFeed(): Promise<void> {
    const feed = this.#feed;
    this.#feed = undefined;
    await Promise.resolve(feed?.[Symbol.asyncDispose]()).catch(() => undefined);
  }

  async #swapFiles(record: (step: SwapStep) => Promise<void>): Promise<void> {
    const path = this.#requireRdbPath();
    await this.#resources.disposeAsync();
    let directory = this.#directory ?? "";
    let staged = this.#scan === undefined ? undefined : this.#rdb;
    if (dirname(directory) !== dirname(path)) {
      directory = await makeWorkDirectory(dirname(path), record);
      staged &&= await copyInto(staged, join(directory, "restored.rdb"));
    }
    if (staged !== undefined) await syncFile(staged);
    const files = await findServerFiles(this.#options, path, this.#aof);
    this.#replaced = files;
    await replaceFiles({ files, source: describeSource(this.#options) }, staged, directory, record);
  }

  async #describeLive(connection: RedisConnection, signal: AbortSignal): Promise<Contents> {
    const info = await readInfo(connection, ...contentSections);
    if (this.#scan === undefined) return describeFilled(info);
    const contents = describeKeyspace(this.#scan, info);
    if (compareContents(describeScan(this.#scan), contents).length === 0) return contents;
    // More keys may have come to their time since the RDB was looked at.
    return describeKeyspace(await scanRdbFile(this.#rdb, Date.now(), signal), info);
  }

  #requireRdbPath(): string {
    const { rdbPath } = this.#options;
    if (rdbPath !== undefined) return rdbPath;
    throw new HoldfastError(
      "restore-failed",
      `the server at ${describeEndpoint(this.#endpoint)} is stopped, and where its files are is not known`,
      {
        hint: "Start it, or set rdbPath.",
      },
    );
  }

  async #explained<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    try {
      signal.throwIfAborted();
      return await act();
    } catch (error) {
      if (signal.aborted) throw createAbortError(signal, `The restore of "${this.#context.name}" was stopped`);
      const explained = explainRedisError(error, describeEndpoint(this.#endpoint));
      throw prefixError(`Cannot restore "${this.#context.name}"`, explained, targetCodes);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
    if (!this.#swapping && this.#directory !== undefined) await removeWorkDirectory(this.#directory);
  }
}

async function copyInto(from: string, to: string): Promise<string> {
  await copyFile(from, to, constants.COPYFILE_EXCL);
  return to;
}
