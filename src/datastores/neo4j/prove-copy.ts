import { join } from "node:path";
import type { Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import { runAdmin, type Admin } from "./admin.ts";
import { readGraph } from "./query-graph.ts";
import { openScratchServer } from "./scratch-server.ts";
import { prepareWorkplace } from "./tools.ts";

/**
 * Has a server of our own recover the copy in a workplace and count what is in it, shuts it down, then has neo4j-admin check the copy's
 * consistency. The copy is changed by that: it is in good order afterwards.
 * @throws source-corrupt for what does not start or is not consistent
 */
export async function proveCopy(
  admin: Admin,
  { what, progress }: { readonly what: string; readonly progress: (phase: string) => void },
  signal: AbortSignal,
): Promise<Contents> {
  await prepareWorkplace(admin.options, admin.place);
  progress("counting the graph");
  const contents = await countCopy(admin, what, signal);
  progress("checking consistency");
  await checkConsistency(admin, what, signal);
  return contents;
}

async function countCopy(admin: Admin, what: string, signal: AbortSignal): Promise<Contents> {
  await using server = await openScratchServer(admin, what, signal);
  const contents = await readGraph(server.endpoint, admin.options.database, signal);
  await server.stop();
  return contents;
}

async function checkConsistency(admin: Admin, what: string, signal: AbortSignal): Promise<void> {
  const { options, place } = admin;
  const report = join(place.directory, "report");
  const args = [
    "database",
    "check",
    options.database,
    `--report-path=${report}`,
    "--threads=1",
    `--max-off-heap-memory=${options.pageCache}`,
  ];
  try {
    await runAdmin(admin, args, what, signal);
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== "tool-failed") throw error;
    throw new HoldfastError("source-corrupt", `${what}: the graph is not consistent: ${error.message}`, {
      hint: "Restore an older backup, or have Neo4j's own tools repair it (`neo4j-admin database copy`).",
      cause: error,
    });
  }
}

/** A manifest without a graph was made where none could be counted: then what is found now has nothing to be compared with. */
export function fitGraph(graph: Contents, expected: Contents | undefined): Contents {
  return expected === undefined || Object.hasOwn(expected.counts, "nodes") ? graph : { counts: {}, digests: {}, facts: graph.facts };
}

const ofGraph = (name: string): boolean => /^(nodes|relationships)(\.|$)|^(indexes|constraints|schema)$/.test(name);

/** What a manifest tells of the graph alone. */
export function pickGraph(contents: Contents | undefined): Contents {
  const pick = <Value>(from: Readonly<Record<string, Value>> = {}): Readonly<Record<string, Value>> =>
    Object.fromEntries(Object.entries(from).filter(([name]) => ofGraph(name)));
  return { counts: pick(contents?.counts), digests: pick(contents?.digests), facts: {} };
}

export function joinContents(one: Contents, other: Contents): Contents {
  return {
    counts: { ...one.counts, ...other.counts },
    digests: { ...one.digests, ...other.digests },
    facts: { ...one.facts, ...other.facts },
  };
}
