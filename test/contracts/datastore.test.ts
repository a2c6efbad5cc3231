import assert from "node:assert/strict";
import { test } from "node:test";
import { listDatastoreDrivers } from "../../src/datastores/registry.ts";
import { looseFixture, sqliteFixture, treeFixture } from "../support/datastore-fixtures.ts";
import { createPostgresFixture } from "../support/postgres-fixture.ts";
import { redisFixture } from "../support/redis-fixture.ts";
import { describeDatastore, listCoveredKinds } from "./datastore.ts";

describeDatastore("files, a tree", treeFixture);
describeDatastore("files, single ones", looseFixture);
describeDatastore("sqlite", sqliteFixture);
describeDatastore("postgresql 15", createPostgresFixture(15));
describeDatastore("postgresql 18", createPostgresFixture(18));
describeDatastore("redis", redisFixture);

test("every registered datastore passes this suite", () => {
  assert.deepEqual(
    [...listCoveredKinds()].sort(),
    listDatastoreDrivers()
      .map(({ kind }) => kind)
      .sort(),
  );
});
