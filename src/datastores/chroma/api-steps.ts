import { z } from "zod";
import { HoldfastError } from "../../base/errors.ts";
import { prefixError } from "../../base/prefix-error.ts";
import type { SwapStep } from "../contract.ts";
import { countRecords, type Database, listCollections } from "./api-export.ts";
import { ChromaClient, locateCollections } from "./client.ts";
import type { ChromaOptions } from "./options.ts";

/*
 * A swap on a server is a row of new names. Staged collections are called `PREFIX-new-N` until they get the names that they are to have
 * (`place`); what had been there is called `PREFIX-old-N` from then on (`aside`). Each is recorded with the collection's id before it is
 * made, and the name that the id has tells whether it was made. Rolling back takes the names back and removes what was staged; settling
 * removes what was put aside.
 */

const place = { url: z.string(), tenant: z.string(), database: z.string(), prefix: z.string().regex(/^holdfast-[0-9a-z]{20}$/) };
const apiStep = z.discriminatedUnion("op", [
  z.object({ op: z.literal("chroma"), ...place }),
  z.object({ op: z.literal("chroma-aside"), ...place, id: z.string(), from: z.string(), to: z.string() }),
  z.object({ op: z.literal("chroma-place"), ...place, id: z.string(), from: z.string(), to: z.string() }),
]);

export type ApiStep = z.output<typeof apiStep>;
export type ApiPlace = Pick<ApiStep, "url" | "tenant" | "database" | "prefix">;

/** Whether a swap was made on a server; else in a directory. */
export const isApiSwap = (steps: readonly SwapStep[]): boolean => steps.some((step) => String(step["op"]).startsWith("chroma"));

export async function rename(client: ChromaClient, database: Database, id: string, to: string, signal: AbortSignal): Promise<void> {
  await client.call("PUT", `${locateCollections(database)}/${id}`, { new_name: to }, signal);
}

/** The server deletes by name; whoever calls has just seen that the name is the one that is meant. */
export async function remove(client: ChromaClient, database: Database, name: string, signal: AbortSignal): Promise<void> {
  try {
    await client.call("DELETE", `${locateCollections(database)}/${encodeURIComponent(name)}`, undefined, signal);
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== "unknown-name") throw error;
  }
}

export async function removeStaged(
  client: ChromaClient,
  { prefix, ...database }: Omit<ApiPlace, "url">,
  kind: "new" | "old",
  signal: AbortSignal,
): Promise<void> {
  for (const { name } of await listCollections(client, database, signal))
    if (name.startsWith(`${prefix}-${kind}-`)) await remove(client, database, name, signal);
}

/** The config of now has the token; a step tells the server. */
function openClient(step: ApiPlace, options: ChromaOptions | undefined): ChromaClient {
  const known = options?.url === step.url ? { token: options.token, headers: options.headers } : { headers: {} };
  return new ChromaClient({ url: step.url, ...known });
}

const answersMs = 30_000;

export async function rollBackApi(steps: readonly SwapStep[], signal: AbortSignal, options: ChromaOptions | undefined): Promise<void> {
  const known = steps.map((step) => apiStep.parse(step));
  const [first] = known;
  if (first === undefined) return;
  try {
    const client = openClient(first, options);
    await client.waitUntilUp(options?.waitFor ?? answersMs, signal);
    for (const step of known.toReversed()) if (step.op !== "chroma") await undoRename(client, step, signal);
    await removeStaged(client, first, "new", signal);
  } catch (error) {
    throw prefixError("Cannot roll back the restore", error, {
      "source-unreachable": "restore-stuck",
      "source-unreadable": "restore-stuck",
      "tool-failed": "restore-stuck",
    });
  }
}

async function undoRename(client: ChromaClient, step: Exclude<ApiStep, { op: "chroma" }>, signal: AbortSignal): Promise<void> {
  const collections = await listCollections(client, step, signal);
  const moved = collections.find(({ id }) => id === step.id);
  if (moved?.name !== step.to) return; // never made, undone already, or gone
  const other = collections.find(({ name }) => name === step.from);
  // An application makes the collections that it misses.
  if (other !== undefined) {
    if ((await countRecords(client, step, other.id, signal)) > 0)
      throw new HoldfastError(
        "restore-stuck",
        `collection "${step.from}" has been made anew and has records; what was there before is called "${step.to}"`,
        {
          hint: "Stop the application, and remove or rename one of the two.",
        },
      );
    await remove(client, step, other.name, signal);
  }
  await rename(client, step, step.id, step.from, signal);
}

export async function settleApi(steps: readonly SwapStep[], signal: AbortSignal, options: ChromaOptions | undefined): Promise<void> {
  const known = steps.map((step) => apiStep.parse(step));
  const [first] = known;
  if (first === undefined) return;
  const client = openClient(first, options);
  await client.waitUntilUp(options?.waitFor ?? answersMs, signal);
  // `new` is there only where the process died before it swapped.
  for (const kind of ["old", "new"] as const) await removeStaged(client, first, kind, signal);
}
