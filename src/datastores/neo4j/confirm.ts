import { setTimeout as pause } from "node:timers/promises";
import type { Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Neo4jOptions } from "./options.ts";
import { countGraph } from "./query-graph.ts";

const pollMs = 500;
const answerMs = 2 * 60_000;

/**
 * Asks the server that has been started whether it has the restored graph; applications may have written to it by then. Waits until it
 * answers, for two minutes at most.
 * @throws restore-failed when it is empty and the backup was not
 */
export async function confirmGraph(
  options: Neo4jOptions,
  expected: Contents | undefined,
  what: string,
  signal: AbortSignal,
): Promise<"proven" | "unknown"> {
  const { url, user, password, database } = options;
  const nodes = expected?.counts["nodes"];
  if (url === undefined || expected === undefined || nodes === undefined) return "unknown";
  const counts = await askPatiently({ url, user, password }, database, Math.min(options.startTimeout, answerMs), signal);
  if (counts === undefined) return "unknown";
  const same = Object.entries(expected.counts).every(
    ([name, count]) => !/^(nodes|relationships)/.test(name) || (counts[name] ?? 0) === count,
  );
  if (same) return "proven";
  if (nodes === 0 || (counts["nodes"] ?? 0) > 0) return "unknown";
  throw new HoldfastError("restore-failed", `${what}: the server at ${url} has no nodes, and the backup has ${nodes}`, {
    hint: "Does the server use the data directory that `data` names?",
  });
}

async function askPatiently(
  endpoint: Parameters<typeof countGraph>[0],
  database: string,
  limitMs: number,
  signal: AbortSignal,
): Promise<Readonly<Record<string, number>> | undefined> {
  const limit = AbortSignal.timeout(limitMs);
  const either = AbortSignal.any([signal, limit]);
  for (;;) {
    try {
      return await countGraph(endpoint, database, either);
    } catch (error) {
      signal.throwIfAborted();
      const refused = error instanceof HoldfastError && /Security/.test(error.message);
      if (limit.aborted || refused) return undefined;
    }
    await pause(pollMs, undefined, { signal: either }).catch(() => undefined);
  }
}
