import { after } from "node:test";
import type { DatastoreFixture } from "../contracts/datastore/fixture.ts";
import { openPostgres, type Major, type PostgresServer } from "./postgres.ts";

const servers = new Map<Major, Promise<PostgresServer>>();
let sources = 0;

/** One server for all tests of this process, started by the first. */
function shareServer(major: Major): Promise<PostgresServer> {
  const opened = servers.get(major) ?? openPostgres(major);
  servers.set(major, opened);
  return opened;
}

after(async () => {
  for (const opened of servers.values()) await (await opened)[Symbol.asyncDispose]();
});

/** A database of its own, and a role of its own that restores it. */
export function createPostgresFixture(major: Major): DatastoreFixture {
  return {
    kind: "postgresql",
    unreadableCodes: ["source-unreadable"],
    staging: "after-reading",
    async openSource() {
      const server = await shareServer(major);
      sources += 1;
      const name = `Data ${sources}`;
      const password = `role's ${sources}`;
      server.execute(`create role "${name}" superuser login password '${password.replaceAll("'", "''")}'`);
      server.execute(`create database "${name}" owner "${name}"`);
      server.execute(
        `create table note (id serial primary key, body text); insert into note (body) select repeat(md5(n::text), 100) from generate_series(1, 500) n;
         create table "Users" (id int references note); insert into "Users" values (1), (2); create index on note (body text_pattern_ops)`,
        name,
      );
      const list = (sql: string): readonly string[] =>
        server
          .execute(sql)
          .split("\n")
          .filter((line) => line !== "");
      const isThere = (): boolean => list(`select datname from pg_database where datname = '${name}'`).length > 0;
      const readData = (): string =>
        isThere()
          ? server.execute(
              `select * from note order by id; select * from "Users" order by id; select nextval('note_id_seq') - 1; select setval('note_id_seq', currval('note_id_seq') - 1)`,
              name,
            )
          : "nothing";
      const readShape = (): string =>
        list(`select oid, datname, datconnlimit, datallowconn, datacl from pg_database where datname like '${name}%' order by 1`).join(
          "\n",
        );
      const options = server.options({ user: name, password, database: name });
      return {
        options,
        optionalOptions: { ...options, optional: true },
        stagingOptions: { ...options, format: "directory" },
        parts: {
          names: ["Users"],
          readPart: () => server.execute(`select * from "Users" order by id`, name),
          readRest: () => server.execute("select * from note order by id", name),
          change: () =>
            void server.execute(
              `insert into "Users" values (7); delete from "Users" where id = 1; insert into note (body) values ('more')`,
              name,
            ),
        },
        async change() {
          server.execute(`insert into note (body) values ('more'); delete from "Users" where id = 1; create table extra (x int)`, name);
        },
        async remove() {
          server.execute(`drop database "${name}" with (force)`);
        },
        async makeUnreadable() {
          server.execute(`alter role "${name}" password 'another'`);
        },
        fingerprint: async () => `${readShape()}\n${readData()}`,
        readData: async () => readData(),
        // No transaction keeps a sequence: it may stand further on.
        readSnapshotData: async () => server.execute(`select * from note order by id; select * from "Users" order by id`, name),
        listLeftovers: async () => list(`select datname from pg_database where datname like '%${name}%' and datname <> '${name}'`),
        async [Symbol.asyncDispose]() {
          for (const found of list(`select datname from pg_database where datname like '%${name}%'`))
            server.execute(`drop database "${found}" with (force)`);
        },
      };
    },
  };
}
