import type { Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import { prefixError } from "../../base/prefix-error.ts";
import type {
  DriverContext,
  RestoreOptions,
  RestoreSession,
  RestoreTarget,
  SavedMember,
  StoredEntry,
  SwapStep,
  TargetFacts,
} from "../contract.ts";
import { TreeRestore } from "../trees/restore-tree.ts";
import type { FoundDirectory } from "../volume.ts";
import { nameCollection } from "./catalog.ts";
import { ChromaClient, locateCollections } from "./client.ts";
import { joinContents } from "./dump-directory.ts";
import { assertWhole, describeContents, examineCopy, type ExaminedCopy } from "./examine-copy.ts";
import { findServers } from "./find-server.ts";
import { createNoProgramError } from "./scratch-server.ts";
import type { DirectoryOptions } from "./source.ts";

const stopHint = "Stop the Chroma server: name it as the datastore's `service`, or in the job's stop and start hooks.";

/** A target, and the directory that it is on this machine. */
type RestorePlace = FoundDirectory & Pick<RestoreTarget, "kind">;

/**
 * Replaces the data directory of a server that stands still. The staged copy is queried by a private server before it is put in place, and
 * compared with what the source answered when it was copied.
 */
export class DirectoryRestore implements RestoreSession {
  readonly #tree: TreeRestore;
  readonly #root: string;
  readonly #original: boolean;
  readonly #isDrill: boolean;
  readonly #options: DirectoryOptions;
  readonly #context: DriverContext;
  #examined: { readonly data: Contents; readonly collections: ExaminedCopy["examination"]["collections"] } | undefined;

  constructor(target: RestorePlace, restoring: RestoreOptions, options: DirectoryOptions, context: DriverContext) {
    this.#isDrill = target.kind === "scratch";
    this.#original = target.kind === "original";
    this.#root = target.path;
    this.#options = options;
    this.#context = context;
    this.#tree = new TreeRestore(
      {
        root: this.#root,
        below: !this.#original,
        ...(target.root === "stays" ? { keeps: "root" as const } : {}),
        exclude: [],
        oneFileSystem: true,
        special: { devices: false, setId: false },
        stagingDir: context.stagingDir,
        progress: context.progress,
      },
      restoring,
    );
  }

  async inspect(signal: AbortSignal): Promise<TargetFacts> {
    const facts = await this.#tree.inspect(signal);
    const users = facts.present ? findServers(this.#root) : [];
    if (users.length === 0) return facts;
    const message = `Processes ${users.join(", ")} have it open: the restore is refused while they run. ${stopHint}`;
    return { ...facts, users, notes: [...facts.notes, { level: "warning", code: "in-use", message }] };
  }

  async count(signal: AbortSignal): Promise<Readonly<Record<string, number>> | undefined> {
    return await this.#tree.count(signal);
  }

  async stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    let expected: Contents | undefined;
    const noted = async function* (): AsyncGenerator<StoredEntry, void, undefined> {
      for await (const entry of entries) {
        expected = entry.contents;
        yield entry;
      }
    };
    const tree = await this.#tree.stage(noted(), signal);
    const root = this.#tree.stagedRoot;
    if (root === undefined) return tree;
    try {
      const samples = Number(expected?.facts["samples"] ?? this.#options.samples);
      const known = expected?.facts["missed"];
      const examined = await this.#examine(root, { samples, known: known === undefined ? undefined : Number(known) }, signal);
      if (this.#isDrill && examined.proof === undefined && examined.faults.length === 0)
        throw createNoProgramError("query the restored copy");
      assertAnswers(expected, examined);
      const data = describeContents(examined, samples);
      this.#examined = { data, collections: examined.examination.collections };
      return joinContents(tree, data);
    } catch (error) {
      throw prefixError(`Cannot restore "${this.#context.name}"`, error, {
        "source-corrupt": "backup-damaged",
        "restore-failed": "backup-damaged",
      });
    }
  }

  async assertSaved(saved: SavedMember, signal: AbortSignal): Promise<void> {
    await this.#tree.assertSaved(saved, signal);
  }

  /** @throws target-in-use for a server that runs on what is to be replaced: it would write into what was put aside */
  async swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    this.#requireNoServer(this.#root);
    await this.#tree.swap(record, signal);
    // One that was started meanwhile would work on with what goes away.
    this.#requireNoServer(this.#tree.asidePath);
  }

  #requireNoServer(place: string | undefined): void {
    const users = this.#original && place !== undefined ? findServers(place) : [];
    if (users.length > 0)
      throw new HoldfastError("target-in-use", `Cannot restore to ${this.#root}: processes ${users.join(", ")} have it open`, {
        hint: stopHint,
      });
  }

  /** Of the very files that were examined, or of others: then their hashes tell it. */
  async summarize(signal: AbortSignal): Promise<Contents> {
    const tree = await this.#tree.summarize(signal);
    return this.#examined === undefined ? tree : joinContents(tree, this.#examined.data);
  }

  async confirm(signal: AbortSignal): Promise<"proven" | "unknown"> {
    const { url, token, headers, waitFor } = this.#options;
    if (url === undefined || !this.#original) return "unknown";
    const client = new ChromaClient({ url, token, headers });
    try {
      await client.waitUntilUp(waitFor, signal);
    } catch (error) {
      if (error instanceof HoldfastError && error.code === "source-unreachable") return "unknown";
      throw error;
    }
    const missing: string[] = [];
    for (const collection of this.#examined?.collections ?? []) {
      try {
        await client.call("GET", `${locateCollections(collection)}/${collection.id}/count`, undefined, signal);
      } catch (error) {
        if (!(error instanceof HoldfastError) || (error.code !== "unknown-name" && error.code !== "tool-failed")) throw error;
        missing.push(nameCollection(collection));
      }
    }
    if (missing.length === 0) return "proven";
    throw new HoldfastError(
      "restore-failed",
      `the Chroma server at ${url} does not have the restored collections: ${missing.slice(0, 5).join(", ")}`,
      {
        hint: "Does it run on `path`?",
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tree[Symbol.asyncDispose]();
  }

  async #examine(
    root: string,
    { samples, known }: { readonly samples: number; readonly known: number | undefined },
    signal: AbortSignal,
  ): Promise<ExaminedCopy> {
    this.#context.progress({ phase: "querying the staged copy" });
    const source = known === undefined ? undefined : { known };
    return await examineCopy({ root, stagingDir: this.#context.stagingDir, samples, options: this.#options, source }, signal);
  }
}

/** What was wrong at the source, and told then, is no damage of the backup. */
function assertAnswers(expected: Contents | undefined, examined: ExaminedCopy): void {
  const hint = "Restore another backup: `holdfast list` shows which were drilled.";
  if (expected?.digests["integrity"] === "damaged") return;
  assertWhole(examined, "backup-damaged", hint);
  const { proof } = examined;
  const told = expected?.facts["samplesDigest"];
  if (proof === undefined || told === undefined) return;
  if (proof.digest !== told)
    throw new HoldfastError("backup-damaged", "the records that were asked for have other vectors than when they were backed up", { hint });
}
