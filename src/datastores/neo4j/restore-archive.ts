import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { emptyContents, type Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { DriverContext, RestoreOptions, RestoreSession, SavedMember, StoredEntry, SwapStep, TargetFacts } from "../contract.ts";
import { TreeRestore, type TreeTarget } from "../trees/restore-tree.ts";
import { confirmGraph } from "./confirm.ts";
import { copyStore, removeCopies } from "./copy-store.ts";
import { describeServers, findServers } from "./find-servers.ts";
import type { Neo4jOptions } from "./options.ts";
import { fitGraph, joinContents, pickGraph, proveCopy } from "./prove-copy.ts";
import { requireNoLinks } from "./require-no-links.ts";
import { storeParts } from "./store-places.ts";
import { requireHome } from "./tools.ts";

/** The whole data directory, swapped like any tree; before that a private server reads a copy of what is to be put in place. */
export class ArchiveRestore implements RestoreSession {
  readonly #options: Neo4jOptions;
  readonly #context: DriverContext;
  readonly #target: TreeTarget;
  readonly #tree: TreeRestore;
  #graph: Contents = emptyContents;
  #staged: Contents | undefined;

  constructor(options: Neo4jOptions, target: TreeTarget, restoring: RestoreOptions, context: DriverContext) {
    this.#options = options;
    this.#context = context;
    this.#target = target;
    this.#tree = new TreeRestore(target, restoring);
  }

  async inspect(signal: AbortSignal): Promise<TargetFacts> {
    const facts = await this.#tree.inspect(signal);
    return { ...facts, saveStagingBytes: 2 * facts.bytes };
  }

  count(signal: AbortSignal): Promise<Readonly<Record<string, number>> | undefined> {
    return this.#tree.count(signal);
  }

  async stage(entries: AsyncIterable<StoredEntry>, signal: AbortSignal): Promise<Contents> {
    let expected: Contents | undefined;
    async function* noted(): AsyncGenerator<StoredEntry, void, undefined> {
      for await (const entry of entries) {
        expected = entry.contents;
        yield entry;
      }
    }
    const tree = await this.#tree.stage(noted(), signal);
    const staged = this.#tree.stagedPath;
    if (staged === undefined) return tree;
    const what = `Cannot restore "${this.#context.name}"`;
    requireNoLinks(
      storeParts.map((part) => join(staged, part)),
      what,
      "backup-damaged",
    );
    this.#graph = this.#options.prove === "files" ? pickGraph(expected) : fitGraph(await this.#prove(staged, expected, signal), expected);
    return (this.#staged = joinContents(tree, this.#graph));
  }

  assertSaved(saved: SavedMember, signal: AbortSignal): Promise<void> {
    return this.#tree.assertSaved(saved, signal);
  }

  async swap(record: (step: SwapStep) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { root, below } = this.#target;
    if (!below) this.#requireNoServer(root);
    await this.#tree.swap(record, signal);
    // One that was started meanwhile would work on with what goes away.
    if (!below && this.#tree.asidePath !== undefined) this.#requireNoServer(this.#tree.asidePath);
  }

  #requireNoServer(place: string): void {
    const users = findServers(place);
    if (users.length > 0)
      throw new HoldfastError(
        "target-in-use",
        `Cannot restore "${this.#context.name}": a server is running on ${this.#target.root} (${describeServers(users)})`,
        { hint: "Give the datastore a `service`, which is stopped for the restore, or stop it in the job's stop hooks." },
      );
  }

  async summarize(signal: AbortSignal): Promise<Contents> {
    const tree = await this.#tree.summarize(signal);
    return this.#staged === undefined ? tree : joinContents(tree, this.#graph);
  }

  confirm(signal: AbortSignal): Promise<"proven" | "unknown"> {
    return confirmGraph(this.#options, this.#staged, `Cannot restore "${this.#context.name}"`, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#tree[Symbol.asyncDispose]();
  }

  /** Where nothing is installed that could, a backup whose graph was not counted either is no worse for it. */
  async #prove(staged: string, expected: Contents | undefined, signal: AbortSignal): Promise<Contents> {
    const what = `Cannot restore "${this.#context.name}"`;
    let home: string;
    try {
      home = requireHome(this.#options);
    } catch (error) {
      if (this.#options.home === undefined && expected?.counts["nodes"] === undefined) return emptyContents;
      throw error;
    }
    const directory = join(this.#context.stagingDir, "work");
    const data = join(directory, "data");
    try {
      await mkdir(data, { recursive: true, mode: 0o700 });
      await copyStore(staged, data, this.#options.database, what, signal);
      const admin = { options: this.#options, home, place: { directory, data } };
      return await proveCopy(admin, { what, progress: (phase) => this.#context.progress({ phase }) }, signal);
    } finally {
      await removeCopies([directory]);
    }
  }
}
