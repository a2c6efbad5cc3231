import { appendFileSync, chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import type { DatastoreFixture, DatastoreSource } from "../contracts/datastore/fixture.ts";
import { runShell } from "./trees.ts";

const nobody = 65_534;

/** Everything below a directory; with inodes and times where it must not have been touched. */
function describeDirectory(directory: string, format: string): string {
  return runShell(
    `find . ! -path '*/.holdfast-*' -printf '%P ${format}\\n' | sort; find . -type f ! -path '*/.holdfast-*' -print0 | sort -z | xargs -0 -r sha256sum`,
    directory,
  );
}

/** What files datastores share: a directory in a directory, whose fingerprint tells every touch. */
function makeDirectorySource(
  directory: string,
  kind: {
    readonly options: (optional: boolean) => unknown;
    readonly change: (data: string) => void;
    readonly fill: (data: string) => void;
    readonly remove: (data: string) => void;
    readonly parts: { readonly names: readonly string[]; readonly read: string; readonly readRest: string; readonly change: string };
  },
): DatastoreSource {
  mkdirSync(directory, { mode: 0o755 });
  const data = join(directory, "data");
  mkdirSync(data, { mode: 0o755 });
  kind.fill(data);
  return {
    options: kind.options(false),
    optionalOptions: kind.options(true),
    change: () => Promise.resolve(kind.change(data)),
    remove: () => Promise.resolve(kind.remove(data)),
    parts: {
      names: kind.parts.names,
      readPart: () => runShell(kind.parts.read, data),
      readRest: () => runShell(kind.parts.readRest, data),
      change: () => void runShell(kind.parts.change, data),
    },
    async makeUnreadable() {
      chmodSync(data, 0o000);
      process.seteuid?.(nobody);
    },
    fingerprint: () => Promise.resolve(describeDirectory(directory, "%i %y %m %U:%G %s %T@ %C@")),
    readData: () => Promise.resolve(describeDirectory(directory, "%y %m %U:%G").replaceAll(/^( d .*|.*data\/cache.*)\n/gm, "")),
    async [Symbol.asyncDispose]() {
      process.seteuid?.(0);
    },
  };
}

function fillDirectory(data: string): void {
  writeFileSync(join(data, "large.bin"), Buffer.alloc(3_000_000, "holdfast "));
  writeFileSync(join(data, "small.bin"), "small");
  writeFileSync(join(data, "log.jsonl"), '{"n":1}\n{"n":2}\n');
  runShell("chown 1234:5678 small.bin; chmod 640 small.bin; touch -d '2011-01-01 01:01:01.123456789' small.bin", data);
}

export const treeFixture: DatastoreFixture = {
  kind: "files",
  unreadableCodes: ["source-unreadable"],
  openSource: async (directory) =>
    makeDirectorySource(directory, {
      options: (optional) => ({ root: join(directory, "data"), exclude: ["cache"], optional }),
      fill(data) {
        fillDirectory(data);
        runShell(
          "mkdir sub cache; ln -s ../small.bin sub/link; ln large.bin sub/hard; mkfifo fifo; echo kept > cache/kept; setfattr -n user.x -v y small.bin",
          data,
        );
      },
      change: (data) => runShell("echo more >> small.bin; rm fifo; echo new > new; echo newer > cache/kept", data),
      remove: (data) => rmSync(data, { recursive: true }),
      parts: {
        names: ["small.*", "sub"],
        read: "find small.bin sub -printf '%P %y %m %U:%G %l %s %T@\\n' 2>&1 | grep -v ' d ' || true; sha256sum small.bin sub/* 2>&1 || true; getfattr -d small.bin",
        readRest: "ls -lA --time-style=full-iso | grep -Ev ' (sub|small.bin).*|^total' ; cat cache/kept log.jsonl",
        change: "echo more >> small.bin; rm -r sub; rm fifo; echo newer > log.jsonl; echo new > new",
      },
    }),
};

export const looseFixture: DatastoreFixture = {
  kind: "files",
  unreadableCodes: ["source-unreadable"],
  openSource: async (directory) =>
    makeDirectorySource(directory, {
      options: (optional) => ({
        include: [
          join(directory, "data/*.bin"),
          { path: join(directory, "data/log.jsonl"), lines: true },
          { path: join(directory, "data/sub/?.txt"), optional: true },
        ],
        optional,
      }),
      fill: fillDirectory,
      change(data) {
        appendFileSync(join(data, "small.bin"), "more");
        rmSync(join(data, "large.bin"));
        writeFileSync(join(data, "new.bin"), "new");
      },
      remove: (data) => runShell("rm -f *.bin *.jsonl", data),
      parts: {
        names: ["large.bin", "sm*"],
        read: "sha256sum large.bin small.bin 2>&1 || true; stat -c '%a %u:%g %y' small.bin",
        readRest: "ls; cat log.jsonl",
        change: "echo more > small.bin; echo spoilt > large.bin; echo newer > log.jsonl",
      },
    }),
};

export const sqliteFixture: DatastoreFixture = {
  kind: "sqlite",
  unreadableCodes: ["source-encrypted", "source-corrupt", "source-unreadable"],
  openSource: async (directory) => {
    mkdirSync(directory, { mode: 0o755 });
    const path = join(directory, "data.db");
    const execute = (sql: string): void => {
      const database = new Database(path);
      database.exec(sql);
      database.close();
    };
    execute(
      "CREATE TABLE tag (name TEXT PRIMARY KEY, note INTEGER); INSERT INTO tag VALUES ('one', NULL), ('two', NULL); CREATE INDEX tag_note ON tag (note)",
    );
    execute(
      "PRAGMA journal_mode=wal; CREATE TABLE note (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO note (body) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) SELECT hex(randomblob(2000)) FROM n",
    );
    const read = (rows: string, schema: string, passOver: readonly string[]): string => {
      const database = new Database(path, { readonly: true });
      try {
        return JSON.stringify([database.prepare(rows).all(), database.prepare(schema).all()], (key, value: unknown) =>
          passOver.includes(key) ? undefined : value,
        );
      } finally {
        database.close();
      }
    };
    const readData = (): Promise<string> => {
      if (!runShell("ls", directory).includes("data.db\n")) return Promise.resolve("nothing");
      const database = new Database(path, { readonly: true });
      const rows = JSON.stringify(database.prepare("SELECT * FROM note").all());
      database.close();
      return Promise.resolve(rows);
    };
    return {
      options: { path },
      optionalOptions: { path, optional: true },
      change: () => Promise.resolve(execute("INSERT INTO note (body) VALUES ('more')")),
      parts: {
        names: ["tag"],
        readPart: () => read("SELECT rowid, * FROM tag", "SELECT * FROM sqlite_schema WHERE tbl_name = 'tag' ORDER BY name", ["rootpage"]),
        readRest: () => read("SELECT * FROM note", "SELECT * FROM sqlite_schema WHERE tbl_name <> 'tag' ORDER BY name", ["rootpage"]),
        change: () =>
          execute(
            "DELETE FROM tag WHERE name = 'one'; ALTER TABLE tag ADD COLUMN more; DROP INDEX tag_note; INSERT INTO note (body) VALUES ('more')",
          ),
      },
      async remove() {
        runShell("rm -f data.db*", directory);
      },
      makeUnreadable: () => Promise.resolve(writeFileSync(path, Buffer.alloc(8192, "no database "))),
      // Opening a WAL database makes `-wal` and `-shm`; a reader that was stopped leaves them, empty of data.
      fingerprint: () =>
        Promise.resolve(runShell("stat -c '%i %A %u:%g %s %y %z' data.db; sha256sum data.db; find . -name '*-wal' -size +0", directory)),
      readData,
      async [Symbol.asyncDispose]() {
        // its directory is removed with the test's
      },
    };
  },
};
