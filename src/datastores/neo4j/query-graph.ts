import { createHash } from "node:crypto";
import type { Contents } from "../../base/contents.ts";
import { HoldfastError } from "../../base/errors.ts";
import type { Secret } from "../../base/secret.ts";

/** A server's HTTP interface. */
export interface Endpoint {
  readonly url: string;
  readonly user: string;
  readonly password: Secret | undefined;
}

type Row = readonly unknown[];

interface Answer {
  readonly results: readonly { readonly data: readonly { readonly row: Row }[] }[];
  readonly errors: readonly { readonly code: string; readonly message: string }[];
}

/** The rows of each statement, all asked in one transaction. @throws source-unreachable */
async function ask(
  endpoint: Endpoint,
  database: string,
  statements: readonly string[],
  signal: AbortSignal,
): Promise<readonly (readonly Row[])[]> {
  const { url, user, password } = endpoint;
  const authorization =
    password === undefined ? {} : { authorization: `Basic ${Buffer.from(`${user}:${password.reveal()}`).toString("base64")}` };
  let answer: Answer;
  try {
    const response = await fetch(new URL(`db/${database}/tx/commit`, `${url.replace(/\/$/, "")}/`), {
      method: "POST",
      redirect: "error",
      headers: { "content-type": "application/json", accept: "application/json", ...authorization },
      body: JSON.stringify({ statements: statements.map((statement) => ({ statement })) }),
      signal,
    });
    answer = (await response.json()) as Answer;
  } catch (error) {
    signal.throwIfAborted();
    throw new HoldfastError("source-unreachable", `Neo4j at ${url} does not answer`, { cause: error });
  }
  const [failure] = answer.errors;
  if (failure !== undefined) throw new HoldfastError("source-unreachable", `Neo4j at ${url} refused: ${failure.code}: ${failure.message}`);
  return answer.results.map(({ data }) => data.map(({ row }) => row));
}

const quote = (name: unknown): string => `\`${String(name).replaceAll("`", "``")}\``;
const readCount = (rows: readonly Row[] | undefined): number => Number(rows?.[0]?.[0] ?? 0);

/** Nodes per label and relationships per type; what is named and has none left is not counted. */
export async function countGraph(endpoint: Endpoint, database: string, signal: AbortSignal): Promise<Readonly<Record<string, number>>> {
  const [labels = [], types = []] = await ask(
    endpoint,
    database,
    [
      "CALL db.labels() YIELD label RETURN label ORDER BY label",
      "CALL db.relationshipTypes() YIELD relationshipType RETURN relationshipType ORDER BY relationshipType",
    ],
    signal,
  );
  const counted = await ask(
    endpoint,
    database,
    [
      "MATCH (n) RETURN count(n)",
      "MATCH ()-[r]->() RETURN count(r)",
      ...labels.map(([label]) => `MATCH (n:${quote(label)}) RETURN count(n)`),
      ...types.map(([type]) => `MATCH ()-[r:${quote(type)}]->() RETURN count(r)`),
    ],
    signal,
  );
  const names = [
    "nodes",
    "relationships",
    ...labels.map(([label]) => `nodes.${String(label)}`),
    ...types.map(([type]) => `relationships.${String(type)}`),
  ];
  const counts = names.map((name, index) => [name, readCount(counted[index])] as const);
  return Object.fromEntries(counts.filter(([name, count]) => count > 0 || name === "nodes" || name === "relationships"));
}

/** What a manifest has of a graph: counts, and a hash of its indexes and constraints. */
export async function readGraph(endpoint: Endpoint, database: string, signal: AbortSignal): Promise<Contents> {
  await ask(endpoint, database, ["CALL db.awaitIndexes(600)"], signal);
  const counts = await countGraph(endpoint, database, signal);
  const [indexes = [], constraints = []] = await Promise.all(
    [
      "SHOW INDEXES YIELD name, type, entityType, labelsOrTypes, properties, state RETURN name, type, entityType, labelsOrTypes, properties, state ORDER BY name",
      "SHOW CONSTRAINTS YIELD name, type, entityType, labelsOrTypes, properties RETURN name, type, entityType, labelsOrTypes, properties ORDER BY name",
    ].map(async (statement) => (await ask(endpoint, database, [statement], signal))[0]),
  );
  const offline = indexes.filter((row) => row.at(-1) !== "ONLINE").length;
  const schema = createHash("sha256")
    .update(JSON.stringify([indexes, constraints]))
    .digest("hex");
  return {
    counts: { ...counts, indexes: indexes.length, constraints: constraints.length },
    digests: { schema },
    facts: { indexesOffline: offline },
  };
}
