import assert from "node:assert/strict";
import { test } from "node:test";
import { createEnvironment, describeAddress, redirectOptions, resolveConnection } from "./connection.ts";
import { parseConnectionUrl } from "./connection-url.ts";
import { createClusterArguments, createDumpArguments } from "./dump-arguments.ts";
import { formatEntryName, matchesPattern, quotePattern } from "./entry-names.ts";
import { postgresqlOptions } from "./options.ts";

const parse = (options: unknown) => postgresqlOptions.parse(options);

test("a connection URL is read as libpq reads it, and fields beside it go before it", () => {
  assert.deepEqual(parseConnectionUrl("postgresql://u%40x:p%3Aw@[::1]:5433/My%20Db?sslmode=verify-full&host=/run/pg"), {
    user: "u@x",
    password: "p:w",
    host: "/run/pg",
    port: "5433",
    database: "My Db",
    settings: { sslmode: "verify-full" },
  });
  const { password, ...connection } = resolveConnection(parse({ url: "postgres://a:b@h/d", user: "c", port: 1 }), "backup");
  assert.deepEqual(connection, { host: "h", port: "1", user: "c", database: "d", settings: {} });
  assert.equal(password?.reveal(), "b");
  for (const bad of ["mysql://x", "postgresql://a:s3cr%ZZet@h/", "postgresql://h/?sslcompression=1"])
    assert.throws(
      () => resolveConnection(parse({ url: bad }), "backup"),
      (error: Error) => !error.message.includes("s3cr"),
    );
});

test("a restore's own connection goes before the other, whose password is its user's alone", () => {
  const options = parse({ host: "h", user: "reader", password: "one", database: "d", restoreConnection: { user: "admin" } });
  assert.equal(resolveConnection(options, "backup").password?.reveal(), "one");
  const { host, user, password } = resolveConnection(options, "restore");
  assert.deepEqual([host, user, password], ["h", "admin", undefined]);
});

test("a restore's own host takes nothing from the other that says where that one is", () => {
  const url = "postgresql://u@prod:1,second:2/d?hostaddr=127.0.0.1,127.0.0.2&sslmode=require";
  const { host, port, settings, database } = resolveConnection(parse({ url, restoreConnection: { host: "staging.invalid" } }), "restore");
  assert.deepEqual(
    { host, port, settings, database },
    { host: "staging.invalid", port: undefined, settings: { sslmode: "require" }, database: "d" },
  );
  const whole = { url, password: "p", ssl: { mode: "require" }, service: "one" };
  for (const own of [
    { user: "admin" },
    { service: "two", ssl: { mode: "prefer" } },
    { url: "postgresql://x:y@z:9" },
    { host: "h", port: 7 },
  ]) {
    const given = parse({ ...whole, restoreConnection: own });
    assert.deepEqual(resolveConnection(redirectOptions(given), "backup"), resolveConnection(given, "restore"));
  }
  const same = resolveConnection(parse({ url, restoreConnection: { user: "admin" } }), "restore");
  assert.deepEqual([same.host, same.port, same.settings["hostaddr"]], ["prod,second", "1,2", "127.0.0.1,127.0.0.2"]);
});

test("F71 the address in a manifest has no password, and leads back to the same place", () => {
  const { env, secrets } = createEnvironment(resolveConnection(parse({ url: "postgresql://u:geheim@h:1/d?sslmode=require" }), "backup"));
  assert.deepEqual(
    [env["PGHOST"], env["PGPORT"], env["PGUSER"], env["PGDATABASE"], env["PGSSLMODE"], env["PGPASSWORD"]],
    ["h", "1", "u", "d", "require", undefined],
  );
  assert.equal(secrets["PGPASSWORD"]?.reveal(), "geheim");
  for (const given of [
    "postgresql://u@h:1/d%2F%25?sslmode=require",
    "postgresql:///d?host=%2Frun%2Fpg&port=5433",
    "postgresql://[::1]/x",
  ]) {
    const address = describeAddress(resolveConnection(parse({ url: given }), "backup"));
    assert.equal(address, given);
  }
});

test("A4 patterns keep the case in which they are written", () => {
  const cases = {
    users: "users",
    Users: '"Users"',
    "public.Users": 'public."Users"',
    "App*": '"App"*',
    'x."Y"': 'x."Y"',
    "a-b": '"a-b"',
    "*": "*",
  };
  for (const [pattern, quoted] of Object.entries(cases)) assert.equal(quotePattern(pattern), quoted);
  const args = createDumpArguments(parse({ tables: ["Users"], excludeTableData: ["-x"], lockTimeout: "2s", largeObjects: false }), [
    '"public"."Users"',
  ]);
  assert.deepEqual(args.slice(2), [
    "--compress=0",
    "--lock-wait-timeout=2000",
    "--strict-names",
    '--table="public"."Users"',
    '--exclude-table-data="-x"',
    "--no-blobs",
  ]);
  assert.ok(createClusterArguments(parse({ format: "cluster", excludeDatabases: ["a.b*"] }), "all").includes('--exclude-database="a.b"*'));
});

test("F42 databases match patterns as a whole, and give names that every file system has", () => {
  assert.equal(matchesPattern("crm", ["c?m"]), true);
  assert.equal(matchesPattern("crm2", ["crm"]), false);
  assert.equal(matchesPattern("c*", [String.raw`c\*`]), true);
  assert.equal(matchesPattern("cx", [String.raw`c\*`]), false);
  assert.equal(matchesPattern("a\nb", ["a*"]), true);
  assert.equal(formatEntryName("../x", "plain"), "%2E.%2Fx.sql");
  assert.equal(formatEntryName("-é\n%", "custom"), "%2Dé%0A%25.backup");
  assert.equal(formatEntryName("globals", "plain"), "%67lobals.sql");
  assert.equal(formatEntryName("x".repeat(63), "sqlite"), `${"x".repeat(63)}.db`);
});

test("options that contradict each other are refused, each at its field", () => {
  const refused: readonly (readonly [string, Record<string, unknown>])[] = [
    ["dataOnly", { schemaOnly: true, dataOnly: true }],
    ["entry", { entry: "x.sql", databases: "all" }],
    ["excludeDatabases", { excludeDatabases: ["x"] }],
    ["dumpCompression", { format: "plain", dumpCompression: { level: 3 } }],
    ["tables", { format: "cluster", tables: ["x"] }],
    ["databases", { format: "cluster", databases: "all" }],
    ["format", { format: "directory", via: { docker: "db" } }],
    ["runAs", { runAs: "postgres", via: { docker: "db" } }],
    ["excludeTableData", { format: "sqlite", excludeTableData: ["x"] }],
    ["ssl", { ssl: { mode: "verify-full" } }],
    ["entry", { entry: "a/b" }],
    ["entry", { format: "cluster", entry: "globals.sql" }],
  ];
  for (const [field, options] of refused) {
    const paths = postgresqlOptions.safeParse(options).error?.issues.map(({ path }) => path[0]) ?? [];
    assert.ok(paths.includes(field), `${JSON.stringify(options)}: ${paths.join(" ")}`);
  }
});
