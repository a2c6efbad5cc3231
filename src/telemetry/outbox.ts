import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectory, writeFileAtomically } from "../base/atomic-file.ts";
import { parseMessage, type Message } from "./notification.ts";

/** A message that waits for one channel. */
export interface Entry {
  /** Also the name of its file. */
  readonly id: string;
  readonly channel: string;
  readonly message: Message;
}

/** Undelivered messages as one JSON file each, so that a restart loses none. Its files hold what is told, never where to. */
export class Outbox {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(directory: string): Promise<Outbox> {
    await makeDirectory(directory, 0o700);
    return new Outbox(directory);
  }

  /** Oldest first. Half files and what is no message are removed. */
  async load(): Promise<readonly Entry[]> {
    const names = (await readdir(this.#directory)).toSorted();
    const entries = await Promise.all(names.map(async (name) => this.#read(name)));
    return entries.filter((entry) => entry !== undefined);
  }

  async save(entry: Entry): Promise<void> {
    await writeFileAtomically(this.#locate(entry), `${JSON.stringify(entry)}\n`, 0o600);
  }

  async remove(entry: Entry): Promise<void> {
    await rm(this.#locate(entry), { force: true });
  }

  async #read(name: string): Promise<Entry | undefined> {
    const path = join(this.#directory, name);
    const entry = name.endsWith(".json") && !name.startsWith(".") ? parseEntry(await readFile(path, "utf8")) : undefined;
    if (entry === undefined || name !== `${entry.id}.json`) {
      await rm(path, { force: true, recursive: true });
      return undefined;
    }
    return entry;
  }

  #locate(entry: Entry): string {
    return join(this.#directory, `${entry.id}.json`);
  }
}

function parseEntry(text: string): Entry | undefined {
  try {
    const value = JSON.parse(text) as Readonly<Record<string, unknown>> | null;
    const message = parseMessage(value?.["message"]);
    if (typeof value?.["id"] !== "string" || typeof value["channel"] !== "string" || message === undefined) return undefined;
    return { id: value["id"], channel: value["channel"], message };
  } catch {
    return undefined;
  }
}
