import { collectionsPath, createVector, type ChromaServer } from "./chroma.ts";
import type { Neo4jServer } from "./neo4j.ts";
import { openWritingClient, type WritingClient } from "./writing-clients.ts";

/** Not more than others leave of the machine. */
const everyMs = 50;
const close = (): Promise<void> => Promise.resolve();

/** Adds to the collection `written` one record after the other, each named after its number. */
export async function openChromaWriter(chroma: Pick<ChromaServer, "call">): Promise<WritingClient> {
  return await openWritingClient(
    async () => {
      const { id } = (await chroma.call("POST", collectionsPath, { name: "written", get_or_create: true })) as { readonly id: string };
      return {
        close,
        async write(number) {
          const record = { ids: [String(number)], embeddings: [createVector(number, 8)], documents: [`written ${number}`] };
          await chroma.call("POST", `${collectionsPath}/${id}/add`, record);
          return "";
        },
      };
    },
    1,
    everyMs,
  );
}

/** Makes one node `Written` after the other; is refused while the server stands still. */
export async function openNeo4jWriter(neo4j: Pick<Neo4jServer, "ask">): Promise<WritingClient> {
  const write = async (number: number): Promise<string> => {
    await neo4j.ask(`CREATE (n:Written {number: ${number}}) RETURN n.number`);
    return "";
  };
  return await openWritingClient(() => Promise.resolve({ write, close }), 1, everyMs);
}
