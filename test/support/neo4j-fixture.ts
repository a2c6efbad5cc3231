import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DatastoreFixture } from "../contracts/datastore/fixture.ts";
import { runShell } from "./trees.ts";

const nobody = 65_534;

/**
 * The suite goes through a hundred dumps and restores, which would be an hour of starting Java: here the files of a data directory are
 * enough, with `prove: files`. What needs a real server is in src/datastores/neo4j/*.test.ts.
 */
export const neo4jFixture: DatastoreFixture = {
  kind: "neo4j",
  unreadableCodes: ["source-unreadable"],
  async openSource(directory) {
    mkdirSync(directory, { mode: 0o755 });
    const data = join(directory, "data");
    mkdirSync(data, { mode: 0o755 });
    runShell("mkdir -p databases/neo4j databases/system transactions/neo4j transactions/system dbms; touch databases/store_lock", data);
    writeFileSync(join(data, "databases/neo4j/neostore.nodestore.db"), Buffer.alloc(2_000_000, "nodes "));
    writeFileSync(join(data, "transactions/neo4j/neostore.transaction.db.0"), Buffer.alloc(100_000, "transaction "));
    writeFileSync(join(data, "server_id"), "0123456789abcdef");
    runShell("chown -R 1234:5678 .; chmod 640 server_id", data);
    const describe = (format: string): string =>
      runShell(
        `find . ! -path '*/.holdfast-*' -printf '%P ${format}\\n' | sort; find . -type f ! -path '*/.holdfast-*' -print0 | sort -z | xargs -0 -r sha256sum`,
        directory,
      );
    const options = { data, method: "archive", prove: "files" };
    return {
      options,
      optionalOptions: { ...options, optional: true },
      async change() {
        writeFileSync(join(data, "databases/neo4j/neostore.nodestore.db"), "fewer nodes");
        runShell("rm server_id; mkdir databases/other", data);
      },
      remove: () => Promise.resolve(rmSync(data, { recursive: true })),
      async makeUnreadable() {
        chmodSync(data, 0o000);
        process.seteuid?.(nobody);
      },
      fingerprint: () => Promise.resolve(describe("%i %y %m %U:%G %s %T@ %C@")),
      readData: () => Promise.resolve(describe("%y %m %U:%G").replace(/^ d .*\n/gm, "")),
      async [Symbol.asyncDispose]() {
        process.seteuid?.(0);
      },
    };
  },
};
