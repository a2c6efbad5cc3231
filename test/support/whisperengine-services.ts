import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Container } from "../fixtures/programs/docker-services.ts";
import { chromaProgram, collectionsPath, createChromaCaller, createVector, fillCollection, type ChromaServer } from "./chroma.ts";
import { findFreePort } from "./free-port.ts";
import { listServerArguments, makeNeo4j, neo4jAccount, neo4jHome, type Neo4jServer } from "./neo4j.ts";
import { waitUntil } from "./wait-until.ts";

const startMs = 120_000;

/** Of WhisperEngine's servers those whose data lies in volumes; they run once their containers are started. */
export interface VolumeServices {
  readonly chroma: Pick<ChromaServer, "call" | "url" | "data">;
  readonly neo4j: Neo4jServer;
  readonly containers: Readonly<Record<"chromadb" | "neo4j", Container>>;
  /** Directories of volumes, by name. */
  readonly volumes: Readonly<Record<"whisperengine_chroma_data" | "whisperengine_neo4j_data", string>>;
  /** What the shipped config has, and what stands there on this machine. */
  readonly replace: Readonly<Record<string, string>>;
  waitUntilUp(): Promise<void>;
  fill(): Promise<void>;
}

export async function makeVolumeServices(dir: string): Promise<VolumeServices> {
  const neo4j = await makeNeo4j(join(dir, "neo4j"));
  // Else half a gibibyte of nothing is copied and compressed each time.
  appendFileSync(join(neo4j.directory, "conf/neo4j.conf"), "db.tx_log.preallocate=false\n");
  const data = join(dir, "volumes/chroma_data/_data");
  mkdirSync(data, { recursive: true });
  const port = await findFreePort();
  const url = `http://127.0.0.1:${port}`;
  const chroma = { url, data, call: createChromaCaller(url) };
  const own = ["setpriv", `--reuid=${neo4jAccount}`, `--regid=${neo4jAccount}`, "--clear-groups", "--"];
  const volumes = { whisperengine_chroma_data: data, whisperengine_neo4j_data: neo4j.data };
  return {
    chroma,
    neo4j,
    volumes,
    containers: {
      chromadb: { command: [chromaProgram, "run", "--host", "127.0.0.1", "--port", String(port), "--path", data] },
      neo4j: { command: [...own, "java", ...listServerArguments(neo4j.directory)], stopTimeoutMs: 30_000 },
    },
    replace: {
      "http://127.0.0.1:8000": url,
      "# server: /opt/chroma/bin/chroma": `server: ${chromaProgram}`,
      "# url: http://127.0.0.1:7474": `url: ${neo4j.url}`,
      "# home: /usr/share/neo4j": `heap: 256m\n    pageCache: 32m\n    home: ${neo4jHome}`,
    },
    async waitUntilUp() {
      const both = (): Promise<unknown> => Promise.all([chroma.call("GET", "/heartbeat"), neo4j.ask("RETURN 1")]);
      await waitUntil("ChromaDB and Neo4j", () => both().then(Boolean, () => false), { withinMs: startMs, pollMs: 200 });
    },
    async fill() {
      await fillCollection(chroma, { collection: "memories", from: 0, count: 1_500 });
      await neo4j.ask("UNWIND range(1, 500) AS n CREATE (:Memory {id: n})-[:ABOUT]->(:Topic {id: n}) RETURN count(n)");
      await neo4j.ask("CREATE INDEX memory_id FOR (m:Memory) ON (m.id)");
    },
  };
}

interface Found {
  readonly memories: number;
  /** The nearest to the vector of the record `id1234`. */
  readonly nearest: string;
  /** Numbers, in order. */
  readonly written: readonly number[];
}

/** What Chroma answers: counts alone would prove nothing. */
export async function readChroma({ call }: Pick<ChromaServer, "call">): Promise<Found> {
  const collections = (await call("GET", collectionsPath)) as readonly { readonly name: string; readonly id: string }[];
  const find = (name: string): string => `${collectionsPath}/${collections.find((each) => each.name === name)?.id ?? name}`;
  const query = { query_embeddings: [createVector(1_234, 64)], n_results: 1, include: [] };
  const { ids } = (await call("POST", `${find("memories")}/query`, query)) as { readonly ids: readonly (readonly string[])[] };
  const written = (await call("POST", `${find("written")}/get`, { include: [] })) as { readonly ids: readonly string[] };
  return {
    memories: Number(await call("GET", `${find("memories")}/count`)),
    nearest: ids[0]?.[0] ?? "none",
    written: written.ids.map(Number).toSorted((one, other) => one - other),
  };
}
