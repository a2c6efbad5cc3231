import assert from "node:assert/strict";
import { chownSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { HoldfastError } from "../../base/errors.ts";
import { dumpAll, makeContext, makeTestDirectory, quiet, restoreAll } from "../../../test/support/datastore.ts";
import { findAccount, majors, openPostgres, superuserPassword, type PostgresServer } from "../../../test/support/postgres.ts";
import { Authority, writePrivately } from "../../../test/support/postgres-tls.ts";
import { postgresqlDriver as driver } from "./postgresql.ts";

function fill(server: PostgresServer): void {
  server.execute("CREATE DATABASE shop");
  server.execute("CREATE TABLE note (id int PRIMARY KEY); INSERT INTO note SELECT generate_series(1, 100)", "shop");
}

/** Backs up, loses rows, and restores; by connections of our own, of psql and of the tools. */
async function roundTrip(t: TestContext, server: PostgresServer, options: Readonly<Record<string, unknown>>): Promise<void> {
  const directory = makeTestDirectory(t);
  const all = { database: "shop", binDir: server.binDir, waitFor: "0s", ...options };
  const { entries } = await dumpAll(driver, all, directory);
  server.execute("DELETE FROM note WHERE id > 3", "shop");
  const { steps } = await restoreAll(driver, all, directory, entries);
  assert.equal(server.execute("SELECT count(*) FROM note", "shop"), "100\n");
  await driver.settle(steps, quiet, all);
  assert.equal(server.execute("SELECT count(*) FROM pg_database WHERE datname ~ 'holdfast'"), "0\n");
}

for (const major of majors) {
  test(`PostgreSQL ${major}: peer authentication, in every format, backs up and restores; another account is refused`, async (t) => {
    await using server = await openPostgres(major, { hba: ["local all all peer"] });
    fill(server);
    const peer = { host: server.socketDirectory, port: server.port, runAs: "postgres" };
    for (const format of ["custom", "plain", "directory"]) await roundTrip(t, server, { ...peer, format });
    await roundTrip(t, server, { ...peer, format: "custom", user: "postgres" });
    const directory = makeTestDirectory(t);
    const asOther = { ...peer, runAs: "nobody", user: "postgres", database: "shop", waitFor: "0s" };
    await assert.rejects(dumpAll(driver, asOther, directory), {
      code: "source-unreadable",
      message: /Peer authentication failed/,
      hint: /runAs/,
    });
  });

  test(`PostgreSQL ${major}: TLS proves the server, by its name where it is asked for, and the client by its certificate`, async (t) => {
    const directory = makeTestDirectory(t);
    const authority = new Authority(directory, "authority");
    const stranger = new Authority(directory, "stranger");
    const own = authority.issue("localhost", "server");
    const client = authority.issue("postgres", "client");
    const foreign = stranger.issue("postgres", "client");
    const config = ["ssl = on", `ssl_cert_file = '${own.cert}'`, `ssl_key_file = '${own.key}'`, `ssl_ca_file = '${authority.root.cert}'`];
    const hba = [
      "hostssl shop postgres 127.0.0.1/32 cert",
      "hostssl all all 127.0.0.1/32 scram-sha-256",
      "hostnossl all all 127.0.0.1/32 reject",
    ];
    await using server = await openPostgres(major, { config, hba: ["hostssl all byname 127.0.0.1/32 scram-sha-256", ...hba] });
    fill(server);
    server.execute("CREATE ROLE byname SUPERUSER LOGIN PASSWORD 'pass word'");
    const rootCert = authority.root.cert;
    const byName = server.options({ user: "byname", password: "pass word", host: "localhost" });
    await roundTrip(t, server, { ...byName, ssl: { mode: "verify-full", rootCert } });
    await roundTrip(t, server, { ...byName, host: "127.0.0.1", ssl: { mode: "verify-ca", rootCert } });
    await roundTrip(t, server, { ...byName, ssl: { mode: "require" } });
    await roundTrip(t, server, byName);
    // With a certificate of ours there is no password: by psql. With one that is not asked for: directly.
    const certified = { host: "localhost", port: server.port, user: "postgres" };
    const mine = { mode: "verify-full", rootCert, ...client };
    const inShop = { ...certified, ssl: mine, database: "shop" };
    assert.equal((await dumpAll(driver, { ...inShop, waitFor: "0s", binDir: server.binDir }, directory)).entries.length, 1);
    await roundTrip(t, server, { ...byName, ssl: mine });
    const refusals: readonly (readonly [Record<string, unknown>, RegExp])[] = [
      [{ ...byName, host: "127.0.0.1", ssl: { mode: "verify-full", rootCert } }, /certificate|altnames|does not match host/i],
      [{ ...byName, ssl: { mode: "verify-full", rootCert: stranger.root.cert } }, /certificate|self.signed/i],
      [{ ...byName, ssl: { mode: "verify-ca", rootCert: stranger.root.cert } }, /certificate|self.signed/i],
      [{ ...byName, ssl: { mode: "disable" } }, /pg_hba.conf rejects|no encryption/],
      [{ ...certified, ssl: { mode: "verify-full", rootCert } }, /certificate/],
      [{ ...certified, ssl: { ...mine, ...foreign } }, /certificate|unknown ca|SSL/i],
    ];
    for (const [options, message] of refusals) {
      await assert.rejects(dumpAll(driver, { database: "shop", waitFor: "0s", ...options }, directory), (error: unknown) => {
        assert.ok(error instanceof HoldfastError, String(error));
        assert.equal(error.code, "source-unreadable", `${JSON.stringify(options["ssl"])}: ${error.message}`);
        assert.match(error.message, message);
        assert.ok(error.hint !== undefined);
        return true;
      });
    }
  });

  test(`PostgreSQL ${major}: a service file and a password file give what the options do not say`, async (t) => {
    await using server = await openPostgres(major);
    fill(server);
    const directory = makeTestDirectory(t);
    const passfile = writePrivately(join(directory, "pass"), `127.0.0.1:${server.port}:*:postgres:${superuserPassword}\n`);
    await roundTrip(t, server, { host: "127.0.0.1", port: server.port, user: "postgres", passfile });
    // The service file is that of the account that runs the tools.
    const home = makeTestDirectory(t);
    const text = `[shop]\nhost=127.0.0.1\nport=${server.port}\nuser=postgres\ndbname=postgres\npassword=${superuserPassword}\n`;
    writePrivately(join(home, ".pg_service.conf"), text);
    const before = process.env["HOME"];
    process.env["HOME"] = home;
    t.after(() => {
      process.env["HOME"] = before;
    });
    await roundTrip(t, server, { service: "shop" });
    await roundTrip(t, server, { service: "shop", format: "plain" });
    const inService = await dumpAll(driver, { service: "shop", databases: ["shop"], waitFor: "0s" }, directory);
    assert.deepEqual(
      inService.entries.map(({ name }) => name),
      ["shop.backup"],
    );
    await using datastore = await driver.configure({ service: "shop", database: "shop", waitFor: "0s" }).open(makeContext(directory));
    assert.match((await datastore.probe(quiet)).summary, /database shop/);
    const wrong = writePrivately(join(directory, "wrong"), "*:*:*:postgres:wr0ng\n");
    const refused = { host: "127.0.0.1", port: server.port, user: "postgres", database: "shop", passfile: wrong, waitFor: "0s" };
    await assert.rejects(dumpAll(driver, refused, directory), { code: "source-unreadable", message: /password authentication failed/ });
    // One that others may read is left alone by libpq, and it says so.
    const { uid, gid } = findAccount();
    chownSync(passfile, uid, gid);
    const unreadable = { ...refused, passfile, runAs: "nobody" };
    await assert.rejects(dumpAll(driver, unreadable, directory), { code: "source-unreadable", message: /no password supplied/ });
  });
}
