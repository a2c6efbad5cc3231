import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import { collectionsPath, countRecords as askCount, createVector, fillCollection, openChroma } from "../../../test/support/chroma.ts";
import { makeTestDirectory } from "../../../test/support/datastore.ts";
import { countRecords } from "./count-records.ts";

test("W2 what a server has in its queue alone is counted as that server counts it when it starts again", async (t) => {
  await using server = await openChroma(join(makeTestDirectory(t), "data"));
  const id = await fillCollection(server, { collection: "memories", from: 0, count: 20 });
  const other = await fillCollection(server, { collection: "others", from: 0, count: 20 });
  const write = async (verb: string, numbers: readonly number[]): Promise<void> => {
    const embeddings = verb === "delete" ? {} : { embeddings: numbers.map((number) => createVector(number, 64)) };
    await server.call("POST", `${collectionsPath}/${id}/${verb}`, { ids: numbers.map((number) => `id${number}`), ...embeddings });
  };
  // Twice in one queue, absent, present, and back again.
  await write("upsert", [19, 20, 21]);
  await write("update", [1, 99]);
  await write("delete", [0, 1, 2, 20, 98]);
  await write("add", [2, 3, 30, 30]);
  await write("delete", [30]);
  await write("add", [31, 32]);
  const told = await askCount(server, id);
  await server.stop();
  const database = new Database(join(server.data, "chroma.sqlite3"));
  try {
    const segmentOf = (collection: string): string =>
      String(database.prepare("select id from segments where collection = ? and scope = 'METADATA'").pluck().get(collection));
    const segment = segmentOf(id);
    const count = (): number | undefined =>
      countRecords(
        database,
        new Map([
          [id, segment],
          [other, segmentOf(other)],
        ]),
      ).get(id);
    assert.equal(count(), told);
    const move = database.prepare("update max_seq_id set seq_id = ? where segment_id = ?");
    const reached = database.prepare("select seq_id from max_seq_id where segment_id = ?").pluck().get(segment);
    move.run(Buffer.from("old"), segment);
    assert.equal(count(), told, "a position that cannot be read");
    move.run(reached, segment);
    // As it stands before the server has brought what came after the first records from the queue into its tables.
    const first = database.prepare("select min(seq_id) from embeddings_queue where operation = 2").pluck().get();
    database.pragma("foreign_keys = off");
    database.prepare("delete from embeddings where segment_id = ?").run(segment);
    const keep = database.prepare("insert into embeddings (segment_id, embedding_id, seq_id) values (?, ?, ?)");
    for (let number = 0; number < 20; number += 1) keep.run(segment, `id${number}`, number + 1);
    move.run(Number(first) - 1, segment);
    assert.equal(count(), told);
    assert.equal(countRecords(database, new Map([[other, segmentOf(other)]])).get(other), 20);
  } finally {
    database.close();
  }
  await server.start();
  assert.equal(await askCount(server, id), told, "the server agrees");
});
