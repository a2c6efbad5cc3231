import { chmodSync, cpSync, existsSync, mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import type { DatastoreFixture } from "../contracts/datastore/fixture.ts";
import { chromaProgram, fillCollection, openChroma } from "./chroma.ts";
import { runShell } from "./trees.ts";

const nobody = 65_534;
let template: Promise<string> | undefined;

/** What a server has written and left in good order; made once. */
export function makeChromaData(): Promise<string> {
  template ??= makeTemplate();
  return template;
}

async function makeTemplate(): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "chroma-template-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  const data = join(directory, "data");
  await using server = await openChroma(data);
  await fillCollection(server, { collection: "memories", from: 0, count: 2_400 });
  await fillCollection(server, { collection: "few", from: 0, count: 20, dimension: 8 });
  await server.stop("SIGTERM");
  return data;
}

/** The directory of a server that stands still. */
export const chromaFixture: DatastoreFixture = {
  kind: "chroma",
  unreadableCodes: ["source-unreadable"],
  async openSource(directory) {
    mkdirSync(directory, { mode: 0o755 });
    const data = join(directory, "data");
    cpSync(await makeChromaData(), data, { recursive: true, preserveTimestamps: true });
    runShell("chown -R 1234:5678 .; chmod 750 .; chmod 640 chroma.sqlite3", data);
    const describeData = (format: string): string =>
      existsSync(data)
        ? runShell(
            `find . ! -path '*/.holdfast-*' -printf '%P ${format}\\n' | sort; find . -type f ! -path '*/.holdfast-*' -print0 | sort -z | xargs -0 -r sha256sum`,
            directory,
          )
        : "nothing";
    return {
      options: { path: data, server: chromaProgram, samples: 12 },
      optionalOptions: { path: data, server: chromaProgram, samples: 12, optional: true },
      async change() {
        const database = new Database(join(data, "chroma.sqlite3"));
        database.exec("PRAGMA foreign_keys = off; DELETE FROM embeddings WHERE embedding_id = 'id2399'");
        database.close();
        writeFileSync(join(data, "new"), "new");
      },
      async remove() {
        rmSync(data, { recursive: true });
      },
      async makeUnreadable() {
        chmodSync(data, 0o000);
        process.seteuid?.(nobody);
      },
      fingerprint: () => Promise.resolve(describeData("%i %y %m %U:%G %s %T@ %C@")),
      // SQLite's copy of a database differs from it in a counter of its header.
      readData: () =>
        Promise.resolve(describeData("%y %m %U:%G").replaceAll(/^( d|.* {2}\.\/data\/chroma\.sqlite3).*\n/gm, "") + describeRows(data)),
      async [Symbol.asyncDispose]() {
        process.seteuid?.(0);
      },
    };
  },
};

function describeRows(data: string): string {
  if (!existsSync(join(data, "chroma.sqlite3"))) return "";
  const database = new Database(join(data, "chroma.sqlite3"), { readonly: true });
  try {
    return ["collections", "embeddings", "embedding_metadata", "embeddings_queue", "max_seq_id"]
      .map((table) => JSON.stringify(database.prepare(`SELECT count(*), sum(length(hex(quote(rowid)))) FROM ${table}`).all()))
      .join("\n");
  } finally {
    database.close();
  }
}
