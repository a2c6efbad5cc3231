import assert from "node:assert/strict";
import { test } from "node:test";
import { describeServerEntry } from "./restore-commands.ts";

const url = "postgresql://app%20user@db.example:5433/it's%20mine?sslmode=require";
const describe = (kind: string, name: string, sourcePath = url, form: "file" | "tree" = "file"): string =>
  (describeServerEntry(kind, { name, form, sourcePath }, "cat x") ?? []).join("\n");

test("D10 W1 RESTORE.txt names the tool that reads each form of a PostgreSQL dump, and the server's own database to start from", () => {
  const server = `'postgresql://app%20user@db.example:5433/postgres?sslmode=require'`;
  assert.ok(describe("postgresql", "crm.backup").endsWith(`\ncat x | pg_restore --exit-on-error --create --dbname=${server}`));
  assert.match(describe("postgresql", "crm.dump"), /\| pg_restore /);
  const plain = describe("postgresql", "crm.sql").split("\n");
  assert.equal(plain[1], `psql -X -q --dbname=${server} -c 'CREATE DATABASE "it'\\''s mine" TEMPLATE template0'`);
  assert.match(plain[2] ?? "", /^cat x \| psql -X -q --dbname='postgresql:\/\/.*\/it'\\''s%20mine\?sslmode=require' -v ON_ERROR_STOP=1$/);
  assert.match(describe("postgresql", "globals.sql", "postgresql://db/"), /\ncat x \| psql -X -q --dbname=postgresql:\/\/db\/postgres$/);
  assert.match(describe("postgresql", "crm.tar", url, "tree"), /tar -xf - -C \S+\npg_restore .* --jobs=2 \/var\/tmp\/crm\.tar\.restore$/);
  assert.match(describe("postgresql", "crm.db"), /\ncat x > \/var\/tmp\/crm\.db$/);
});

test("D10 W1 RESTORE.txt puts a Redis file where its server reads it, and warns of an append-only file", () => {
  const text = describe("redis", "dump.rdb", "redis+unix:///run/redis.sock?rdbPath=%2Fdata%2Fmy+own.rdb");
  assert.match(text, /^# stop the server first\ncat x > '\/data\/my own\.rdb'\nredis-check-rdb '\/data\/my own\.rdb'\n/);
  assert.match(text, /appendonly/);
  assert.match(describe("redis", "dump.rdb", "redis://localhost:6379"), /CONFIG GET dir[^]*> \/var\/lib\/redis\/dump\.rdb/);
  assert.equal(describeServerEntry("sqlite", { name: "a.db", form: "file", sourcePath: "/a.db" }, "cat x"), undefined);
});

test("D10 W1 RESTORE.txt loads a dump of Neo4j under the name that its tool looks for, and gives the files their owner", () => {
  const text = describe("neo4j", "neo4j_backup.dump", "/srv/my graph/databases/people");
  assert.match(
    text,
    /^# stop the server first\nmkdir -m 700 \/var\/tmp\/people\.restore\ncat x > \/var\/tmp\/people\.restore\/people\.dump\n/,
  );
  assert.match(text, /\nneo4j-admin database load people --from-path=\/var\/tmp\/people\.restore --overwrite-destination=true\n/);
  assert.match(text, /chown -R --reference='\/srv\/my graph' '\/srv\/my graph\/databases\/people'/);
  assert.equal(describeServerEntry("neo4j", { name: "neo4j_backup.tar", form: "tree", sourcePath: "/data" }, "cat x"), undefined);
});

test("D10 RESTORE.txt says where the records of a Chroma export go; a directory is unpacked as a tree", () => {
  const text = describe("chroma", "api.jsonl", "http://localhost:8000/?tenant=default_tenant&database=my%20db");
  assert.match(text, /\ncat x > \/var\/tmp\/api\.jsonl\n/);
  assert.match(text, /http:\/\/localhost:8000\/api\/v2\/tenants\/default_tenant\/databases\/my%20db\/collections/);
  assert.equal(describe("chroma", "data.tar", "/srv/chroma", "tree"), "");
});
