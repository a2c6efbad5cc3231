import assert from "node:assert/strict";
import { test } from "node:test";
import { compareContents } from "../../src/base/contents.ts";
import { findDatastoreDriver } from "../../src/datastores/registry.ts";
import { checkAll, dumpAll, makeTestDirectory, quiet, restoreAll } from "../support/datastore.ts";
import { majors, openPostgres, type PostgresServer } from "../support/postgres.ts";

const driver = findDatastoreDriver("postgresql");
/** Of the test only: two dumps of the same data must be the same text. */
const key = "a".repeat(32);

const longest = "ä".repeat(31);
const oddNames = [
  `quo"te'd`,
  "dol$lar; DROP",
  "-dash",
  "new\nline\ttab",
  "ünï çödé",
  `${longest}x`,
  "sp ace.dot",
  "per%cent",
  "back\\slash",
];

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;

function fillOdd(): string {
  return oddNames
    .map((name, at) => {
      const quoted = quote(name);
      return `CREATE SCHEMA ${quoted}; CREATE TABLE ${quoted}.${quoted} (${quoted} int PRIMARY KEY, v text DEFAULT $d$${name}$d$);
        INSERT INTO ${quoted}.${quoted} SELECT generate_series(1, ${at + 3}); COMMENT ON TABLE ${quoted}.${quoted} IS $d$${name}$d$;
        CREATE INDEX ${quote(`${name.slice(0, 20)} i`)} ON ${quoted}.${quoted} (v); GRANT SELECT ON ${quoted}.${quoted} TO reader;`;
    })
    .join("\n");
}

const createObjects = (provider: string): string => String.raw`
  CREATE EXTENSION pg_trgm; CREATE EXTENSION btree_gist SCHEMA public; COMMENT ON EXTENSION pg_trgm IS 'ours';
  CREATE COLLATION german (${provider});
  CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy'); ALTER TYPE mood ADD VALUE 'meh' BEFORE 'happy';
  CREATE TYPE pair AS (a int, b text COLLATE german); CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi);
  CREATE DOMAIN positive AS int DEFAULT 1 CONSTRAINT is_positive CHECK (VALUE > 0);
  CREATE SEQUENCE counter START 7 INCREMENT 3 CYCLE MAXVALUE 100; SELECT nextval('counter'), nextval('counter');
  CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT x * 2 $$;
  CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.body = NEW.body || E'\n\\.'; RETURN NEW; END $f$;
  CREATE PROCEDURE noop() LANGUAGE plpgsql AS 'BEGIN END';
  CREATE AGGREGATE total (int) (sfunc = int4pl, stype = int, initcond = '0');
  CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq, commutator = ===);
  CREATE TABLE author (id int GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5) PRIMARY KEY, name text COLLATE german NOT NULL UNIQUE, feels mood DEFAULT 'happy',
    p pair, n positive, doubled int GENERATED ALWAYS AS (n * 2) STORED, status varchar(9) CHECK (status IN ('a', 'b')), during tstzrange,
    tags text[] DEFAULT ARRAY['x', NULL], doc jsonb, raw bytea, money numeric(30, 10), EXCLUDE USING gist (n WITH =, during WITH &&));
  INSERT INTO author (name, p, n, status, during, doc, raw, money)
    SELECT 'n' || i, (i, 'ß' || i)::pair, i, 'a', tstzrange(now(), NULL), jsonb_build_object('k', i), decode(md5(i::text), 'hex'), i / 7.0 FROM generate_series(1, 40) i;
  INSERT INTO author (name, money, tags) VALUES (E'tab\there\\n', 'NaN', '{}');
  CREATE TABLE book (id serial PRIMARY KEY, author int REFERENCES author ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, body text, search tsvector) WITH (fillfactor = 80);
  ALTER TABLE book ALTER body SET STORAGE EXTERNAL; ALTER TABLE book ALTER author SET STATISTICS 500; ALTER TABLE book REPLICA IDENTITY FULL;
  CREATE TRIGGER stamp BEFORE INSERT ON book FOR EACH ROW WHEN (NEW.body IS NOT NULL) EXECUTE FUNCTION stamp();
  INSERT INTO book (author, body) SELECT 10 + 5 * (i % 40), md5(i::text) FROM generate_series(1, 300) i;
  ALTER TABLE book DISABLE TRIGGER stamp;
  CREATE INDEX book_body ON book USING gin (body gin_trgm_ops); CREATE INDEX part ON book (author DESC NULLS LAST) INCLUDE (id) WHERE body LIKE 'a%'; CLUSTER book USING book_pkey;
  CREATE STATISTICS dependent (dependencies) ON id, author FROM book;
  CREATE TABLE measure (at date NOT NULL, place int, v float8) PARTITION BY RANGE (at);
  CREATE TABLE measure_1 PARTITION OF measure FOR VALUES FROM (MINVALUE) TO ('2020-01-01') PARTITION BY HASH (place);
  CREATE TABLE measure_1a PARTITION OF measure_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE measure_1b PARTITION OF measure_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
  CREATE TABLE measure_d PARTITION OF measure DEFAULT; CREATE INDEX ON measure (place);
  INSERT INTO measure SELECT date '2019-12-20' + i, i, 'Infinity' FROM generate_series(1, 30) i;
  CREATE TABLE base (id int CHECK (id > 0) NOT NULL); CREATE TABLE derived (extra text) INHERITS (base); INSERT INTO base VALUES (1); INSERT INTO derived VALUES (2, 'x');
  CREATE UNLOGGED TABLE quick (v int); INSERT INTO quick VALUES (1); CREATE TABLE nothing (); CREATE TABLE typed OF pair;
  CREATE VIEW titles WITH (security_barrier) AS SELECT b.id, a.name FROM book b JOIN author a ON a.id = b.author WHERE a.status IN ('a', 'b');
  CREATE MATERIALIZED VIEW per_author AS SELECT author, count(*) AS n FROM book GROUP BY author; CREATE UNIQUE INDEX ON per_author (author);
  CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS one WITH NO DATA;
  CREATE RULE ignore AS ON DELETE TO titles DO INSTEAD NOTHING; CREATE RULE note AS ON UPDATE TO base DO ALSO NOTIFY base;
  CREATE TEXT SEARCH DICTIONARY plain_words (TEMPLATE = simple, STOPWORDS = english); CREATE TEXT SEARCH CONFIGURATION ours (COPY = simple);
  ALTER TEXT SEARCH CONFIGURATION ours ALTER MAPPING FOR word WITH plain_words;
  ALTER TABLE book ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON book FOR SELECT TO reader USING (author > 0); CREATE POLICY put ON book AS RESTRICTIVE FOR INSERT WITH CHECK (author IS NOT NULL);
  CREATE PUBLICATION several FOR TABLE book (id, body) WHERE (id > 5); CREATE PUBLICATION every FOR ALL TABLES WITH (publish = 'insert');
  CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION on_ddl();
  CREATE FOREIGN DATA WRAPPER wrapper; CREATE SERVER other FOREIGN DATA WRAPPER wrapper OPTIONS (host 'x'); CREATE FOREIGN TABLE far (id int) SERVER other;
  CREATE USER MAPPING FOR reader SERVER other;
  SELECT lo_from_bytea(4711, 'large object'), lo_from_bytea(4712, ''); GRANT SELECT ON LARGE OBJECT 4711 TO reader; COMMENT ON LARGE OBJECT 4711 IS 'picture';
  GRANT SELECT (name), UPDATE (status) ON author TO reader WITH GRANT OPTION; REVOKE ALL ON FUNCTION twice(int) FROM PUBLIC; GRANT USAGE ON TYPE mood TO reader;
  ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA public GRANT INSERT ON TABLES TO reader; ALTER DEFAULT PRIVILEGES FOR ROLE owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
  ALTER TABLE author OWNER TO owner; ALTER TYPE mood OWNER TO owner; REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO reader;
  COMMENT ON COLUMN author.doc IS E'with ''quotes'' and \\ backslash'; COMMENT ON CONSTRAINT is_positive ON DOMAIN positive IS 'domain'; COMMENT ON INDEX part IS 'index'; COMMENT ON POLICY own ON book IS 'policy';
`;

function fill(server: PostgresServer): void {
  server.execute("CREATE ROLE owner; CREATE ROLE reader");
  server.execute(`CREATE DATABASE shop OWNER owner CONNECTION LIMIT 12 TEMPLATE template0`);
  server.execute(
    "COMMENT ON DATABASE shop IS 'everything'; ALTER DATABASE shop SET work_mem TO '5MB'; ALTER ROLE reader IN DATABASE shop SET search_path TO \"a b\", public; GRANT CREATE ON DATABASE shop TO reader",
  );
  // The newer one is built without ICU.
  server.execute(
    createObjects(server.major === 15 ? "provider = icu, locale = 'de-u-ks-level2', deterministic = false" : "locale = 'C.UTF-8'"),
    "shop",
  );
  server.execute(fillOdd(), "shop");
}

/**
 * The text of a dump. The server writes some expressions in other words once it has read its own (`varchar IN (…)`): those that it wrote at
 * first stand for the second.
 */
function dump(server: PostgresServer): string {
  const text = server.run("pg_dump", ["--create", `--restrict-key=${key}`, "shop"]);
  return text.replaceAll(
    /\(ARRAY\[((?:'[^']*'::character varying(?:, )?)+)\]\)::text\[\]/g,
    (_, list: string) => `ARRAY[${list.replaceAll(/('[^']*'::character varying)/g, "($1)::text")}]`,
  );
}

for (const major of majors) {
  for (const format of ["custom", "plain", "directory"] as const) {
    test(`A5 A3 A4 prop-P6 F42 PostgreSQL ${major} ${format}: dumped, restored and dumped again, a database with every kind of object gives an equal dump`, async (t) => {
      const directory = makeTestDirectory(t);
      await using server = await openPostgres(major, { config: ["wal_level = logical"] });
      fill(server);
      const first = dump(server);
      const options = server.options({ database: "shop", format, binDir: server.binDir });
      const { entries } = await dumpAll(driver, options, directory);
      const { contents } = await checkAll(driver, entries, directory);
      server.execute('DROP TABLE book CASCADE; DELETE FROM author; DROP SCHEMA "-dash" CASCADE', "shop");
      assert.notEqual(dump(server), first);
      const known = entries.map((entry) => ({ ...entry, contents }));
      const { staged, steps } = await restoreAll(driver, options, directory, known);
      assert.deepEqual(compareContents(contents, staged), []);
      assert.equal(contents.counts["rows.public.book"], 300);
      const lines = dump(server).split("\n");
      assert.deepEqual(lines, first.split("\n"));
      await driver.settle(steps, quiet, options);
      assert.deepEqual(dump(server).split("\n"), lines);
    });
  }
}
