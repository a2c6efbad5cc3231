import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { dumpAll, makeTestDirectory, quiet, readEntry, restoreAll, type Restored } from "../../../test/support/datastore.ts";
import { majors, openPostgres, type Major, type PostgresServer } from "../../../test/support/postgres.ts";
import { alterEntry, isFailure } from "../../../test/support/postgres-restore.ts";
import { waitUntil } from "../../../test/support/wait-until.ts";
import type { StoredEntry } from "../contract.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

const sentDirectly = "holdfast rows";
const sentByPsql = "holdfast";

interface ShopSettings {
  /** What the session that puts in rows must be called; whatever it is called by default. */
  readonly sender?: string;
  readonly create?: string;
  /** Of the tables. */
  readonly owner?: string;
  readonly options?: (server: PostgresServer) => Record<string, unknown>;
}

interface Shop extends AsyncDisposable {
  readonly server: PostgresServer;
  readonly directory: string;
  readonly options: Record<string, unknown>;
  readonly entry: StoredEntry;
  readonly read: () => string;
}

/** A dump in SQL that is too large to be read before it is loaded, with one large table and some odd ones. */
async function openShop(
  t: TestContext,
  major: Major,
  { sender, create = "CREATE DATABASE shop", owner = "postgres", options }: ShopSettings = {},
): Promise<Shop> {
  const server = await openPostgres(major);
  t.after(() => server[Symbol.asyncDispose]());
  server.execute(create);
  const check = sender === undefined ? "" : `, CHECK (current_setting('application_name') = '${sender}')`;
  server.execute(
    `SET ROLE ${owner}; SET application_name = '${sender ?? "psql"}';
     CREATE TABLE bulk (i int PRIMARY KEY, body text, raw bytea${check});
     INSERT INTO bulk SELECT i, repeat(md5(i::text), 8), decode(md5(i::text), 'hex') FROM generate_series(1, 25000) i;
     CREATE TABLE "o;""d'd" (" " text); INSERT INTO "o;""d'd" VALUES (E'\\\\.'), (E'\\\\.\\n'), (E'\\t'), (NULL), (''), ('\\N'), ('größe €');
     CREATE TABLE empty (i int); CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES;
     CREATE FUNCTION tricky() RETURNS text LANGUAGE sql AS $x$ SELECT 'COPY bulk FROM stdin;
\\.
' $x$;`,
    "shop",
  );
  const directory = makeTestDirectory(t);
  const all = { ...(options?.(server) ?? server.options()), database: "shop", binDir: server.binDir, format: "plain" };
  const [entry] = (await dumpAll(driver, all, directory)).entries;
  assert.ok(entry !== undefined && entry.bytes > 6 << 20);
  const read = (): string =>
    server.execute(
      `SELECT count(*), md5(string_agg(b::text, '' ORDER BY i)) FROM bulk b;
       SELECT string_agg(quote_nullable(" "), '+' ORDER BY " ") FROM "o;""d'd"; SELECT count(*) FROM bare; SELECT tricky();
       SELECT datname, datallowconn FROM pg_database ORDER BY 1`,
      "shop",
    );
  return { server, directory, options: all, entry, read, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** Restores what was damaged before, for good. */
async function restore({ options, directory }: Shop, entry: StoredEntry): Promise<Restored> {
  const restored = await restoreAll(driver, options, directory, [entry]);
  await driver.settle(restored.steps, quiet, options);
  return restored;
}

const damage = (server: PostgresServer): string =>
  server.execute('DELETE FROM bulk WHERE i > 100; DROP TABLE "o;""d\'d"; DELETE FROM bare', "shop");

for (const major of majors) {
  test(`PostgreSQL ${major}: rows of a large dump in SQL go to the server without psql, and are the same then`, async (t) => {
    await using shop = await openShop(t, major, { sender: sentDirectly });
    const before = shop.read();
    damage(shop.server);
    const { staged, found } = await restore(shop, shop.entry);
    assert.deepEqual(found.counts, staged.counts);
    assert.equal(staged.counts["rows.public.bulk"], 25_000);
    assert.equal(shop.read(), before);
    // No page has to be written again, by whoever reads it first or by a VACUUM; 18 makes some pages more than it needs.
    assert.equal(
      shop.server.execute("SELECT relallvisible > relpages * 0.9, relpages > 100 FROM pg_class WHERE relname = 'bulk'", "shop"),
      "t|t\n",
    );
  });
}

test("rows go to a server that asks for no password by its socket", async (t) => {
  await using shop = await openShop(t, 15, { sender: sentDirectly, options: (server) => server.socketOptions() });
  const before = shop.read();
  damage(shop.server);
  await restore(shop, shop.entry);
  assert.equal(shop.read(), before);
});

test("rows that a table has already stay when more of them are sent", async (t) => {
  await using shop = await openShop(t, 15, { sender: sentDirectly });
  const before = shop.read();
  damage(shop.server);
  const halves = await alterEntry(shop.entry, (text) =>
    text.replace(/^12500\t/m, "\\.\n\nCOPY public.bulk (i, body, raw) FROM stdin;\n12500\t"),
  );
  assert.notEqual(halves.bytes, shop.entry.bytes);
  await restore(shop, halves);
  assert.equal(shop.read(), before);
});

const boundCases: Readonly<Record<string, ShopSettings & { readonly change?: (text: string) => string }>> = {
  "a connection that only libpq knows": {
    options: ({ socketDirectory: host, port }) => ({
      url: `postgresql://postgres@/?host=${host}&port=${port}&gssencmode=disable`,
      waitFor: "0s",
    }),
  },
  "a database in another encoding": { create: "CREATE DATABASE shop TEMPLATE template0 ENCODING 'WIN1252' LOCALE 'C'" },
  "rows that are read by a setting of their own": {
    change: (text) => text.replace("COPY public.bulk ", "SET DateStyle = 'ISO, DMY';\n$&"),
  },
  "a transaction of the dump": {
    change: (text) => text.replace(/^COPY public\.bulk [^]*?^\\\.$/m, (copy) => `BEGIN;\n${copy}\nCOMMIT;`),
  },
};

for (const [what, { change, ...settings }] of Object.entries(boundCases)) {
  test(`rows go through psql: ${what}`, async (t) => {
    await using shop = await openShop(t, 15, { sender: sentByPsql, ...settings });
    const before = shop.read();
    damage(shop.server);
    await restore(shop, change === undefined ? shop.entry : await alterEntry(shop.entry, change));
    assert.equal(shop.read(), before);
  });
}

test("F38 rows that the server refuses are told with their place; nothing is replaced, or left", async (t) => {
  await using shop = await openShop(t, 15);
  const before = shop.read();
  for (const [change, message] of [
    [
      (text: string) => text.replace(/^20000\t/m, "x20000\t"),
      /invalid input syntax for type integer: "x20000" \(COPY bulk, line 20000, column i: "x20000"\)/,
    ],
    [(text: string) => text.replace(/^1\t/m, "x1\t"), /invalid input syntax for type integer: "x1"/],
    [(text: string) => text.replace(/^25000\t[^\n]*/m, "25000"), /missing data for column "body"/],
    [
      (text: string) => text.replace(/^COPY public\.bulk \(i,/m, "COPY public.bulk (nosuch,"),
      /column "nosuch" of relation "bulk" does not exist/,
    ],
    [(text: string) => text.replace(/^SET row_security = off;/m, "SET nosuch = off;"), /unrecognized configuration parameter "nosuch"/],
    // psql has ended when its turn comes.
    [(text: string) => text.replace(/^COPY public\.bare/m, "SELECT 1/0;\n$&"), /division by zero/],
  ] as const) {
    const altered = await alterEntry(shop.entry, change);
    assert.notDeepEqual(await readEntry(altered), await readEntry(shop.entry));
    await assert.rejects(
      restoreAll(driver, shop.options, shop.directory, [altered]),
      isFailure("restore-failed", message, /^/),
      String(message),
    );
    assert.equal(shop.read(), before);
  }
});

test("a statement that psql takes for unfinished does not keep a restore for ever", async (t) => {
  await using shop = await openShop(t, 15);
  const before = shop.read();
  const altered = await alterEntry(shop.entry, (text) => text.replace("COPY public.bulk ", "SELECT (1;\n$&"));
  const unfinished = isFailure("restore-failed", /psql takes a statement .* has not ended/, /by hand/);
  await assert.rejects(restoreAll(driver, shop.options, shop.directory, [altered]), unfinished);
  assert.equal(shop.read(), before);
});

test("a table that others refer to before its rows come is not emptied for them", async (t) => {
  await using shop = await openShop(t, 15, { sender: sentDirectly });
  const before = shop.read();
  damage(shop.server);
  const made = "ALTER TABLE public.bulk ADD UNIQUE (i);\nCREATE TABLE public.ref (i int REFERENCES public.bulk (i));\n";
  await restore(shop, await alterEntry(shop.entry, (text) => text.replace("COPY public.bulk ", `${made}$&`)));
  assert.equal(shop.read(), before);
});

/** The dump, which stands still after half of its bytes until `act` is done, and is no shorter for it. */
function interrupt(entry: StoredEntry, act: () => Promise<void>): StoredEntry {
  return {
    ...entry,
    async *open(signal) {
      let bytes = 0;
      let isDone = false;
      for await (const chunk of entry.open(signal)) {
        bytes += chunk.length;
        if (bytes > entry.bytes * 0.6 && !isDone) {
          isDone = true;
          await act();
        }
        yield chunk;
      }
    },
  };
}

test("a server that ends idle sessions lets those of a restore wait for one another", async (t) => {
  await using shop = await openShop(t, 15);
  const before = shop.read();
  shop.server.execute("ALTER SYSTEM SET idle_session_timeout = '200ms'");
  shop.server.execute("SELECT pg_reload_conf()");
  damage(shop.server);
  await restore(
    shop,
    interrupt(shop.entry, () => delay(1_500)),
  );
  shop.server.execute("ALTER SYSTEM RESET idle_session_timeout");
  assert.equal(shop.read(), before);
});

test("a role with a limit of connections has as many for a large dump in SQL as for another one", async (t) => {
  const create = "CREATE ROLE ann LOGIN CREATEDB PASSWORD 'x' CONNECTION LIMIT 2; CREATE DATABASE shop OWNER ann;";
  await using shop = await openShop(t, 15, { sender: sentByPsql, create, owner: "ann" });
  const before = shop.read();
  damage(shop.server);
  await restore({ ...shop, options: { ...shop.options, user: "ann", password: "x" } }, shop.entry);
  assert.equal(shop.read(), before);
});

test("F39 a connection that ends while rows go through it, theirs or that of psql, leaves everything as it was", async (t) => {
  await using shop = await openShop(t, 15);
  const before = shop.read();
  for (const sender of [sentDirectly, sentByPsql]) {
    const isRestored = `application_name = '${sender}' AND datname ~ 'holdfast'`;
    const altered = interrupt(shop.entry, async () => {
      const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${isRestored}`;
      await waitUntil("a session that is ended", () => shop.server.execute(cut) !== "");
    });
    const isCut = isFailure("source-unreachable", /terminat|closed the connection|connection to server was lost|ECONNRESET|EPIPE/i, /^/);
    await assert.rejects(restoreAll(driver, shop.options, shop.directory, [altered]), isCut, sender);
    assert.equal(shop.read(), before);
  }
});

test("F39 a restore that is stopped while rows are sent ends at once and leaves everything as it was", async (t) => {
  await using shop = await openShop(t, 15);
  const before = shop.read();
  const stop = new AbortController();
  const altered = interrupt(shop.entry, async () => {
    stop.abort();
    await delay(200);
  });
  const stopped = isFailure("cancelled", /stopped/, /^/);
  await assert.rejects(restoreAll(driver, shop.options, shop.directory, [altered], { signal: stop.signal }), stopped);
  assert.equal(shop.read(), before);
  assert.equal(shop.server.execute(`SELECT count(*) FROM pg_stat_activity WHERE application_name ~ 'holdfast'`), "0\n");
});
