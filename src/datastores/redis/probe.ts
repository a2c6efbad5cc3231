import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { describeBytes } from "../../base/describe-amount.ts";
import { prefixError } from "../../base/prefix-error.ts";
import type { DriverContext, ProbeFacts } from "../contract.ts";
import { chooseMethod, isEmpty, openUnlessAway, refuseStale } from "./dump.ts";
import { describeEndpoint, resolveEndpoint } from "./endpoint.ts";
import { explainRedisError } from "./explain-error.ts";
import type { RedisOptions } from "./options.ts";
import { describeVersion, parseKeyspace, readInfo, readVersion } from "./server-facts.ts";

/** Connects as a dump would, and has nothing saved. */
export async function probeServer(options: RedisOptions, context: DriverContext, signal: AbortSignal): Promise<ProbeFacts> {
  const endpoint = resolveEndpoint(options);
  const where = describeEndpoint(endpoint);
  try {
    await using connection = await openUnlessAway(options, endpoint, signal);
    if (connection !== undefined) await refuseStale(connection);
    if (connection === undefined || (options.optional && (await isEmpty(connection)))) {
      const why = connection === undefined ? "not there" : "holds nothing";
      return { summary: `Redis at ${where}, ${why} (optional)`, stagingBytes: 0, estimatedBytes: 0, absent: true, notes: [] };
    }
    const info = await readInfo(connection, "server", "memory", "keyspace");
    const { method } = await chooseMethod(options, endpoint, connection, signal);
    const keys = [...parseKeyspace(info).values()].reduce((sum, database) => sum + database.keys, 0);
    const memory = Number(info.get("used_memory") ?? 0);
    const device = method.kind === "bgsave" ? await findDevice(method.file) : undefined;
    return {
      summary: `${describeVersion(readVersion(info))} at ${where}, ${describeBytes(memory)} in memory, ${keys} key${keys === 1 ? "" : "s"}, by ${method.kind === "bgsave" ? "background save" : "replication"}`,
      // An RDB is nearly always smaller than the memory that its data needs.
      estimatedBytes: memory,
      // For the copy that is checked when it is read back.
      stagingBytes: memory,
      ...(device === undefined ? {} : { device }),
      absent: false,
      notes: [],
    };
  } catch (error) {
    throw prefixError(`Cannot read "${context.name}"`, explainRedisError(error, where));
  }
}

async function findDevice(file: string): Promise<number | undefined> {
  return stat(dirname(file)).then(
    ({ dev }) => dev,
    () => undefined,
  );
}
