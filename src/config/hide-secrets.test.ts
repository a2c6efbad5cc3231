import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "../base/secret.ts";
import { findDatastoreDriver } from "../datastores/registry.ts";
import { hideSecrets } from "./hide-secrets.ts";

test("F71 secrets of a datastore are Secrets, wherever they came from, and nothing else is changed", () => {
  const written = {
    host: "db",
    password: "from the environment",
    url: new Secret("from a file"),
    lockTimeout: "1m",
    tables: ["a", "b"],
    restoreConnection: { user: "root", password: "as well" },
  };
  const parsed = findDatastoreDriver("postgresql").optionsSchema.parse(written);
  const hidden = hideSecrets(written, parsed) as typeof written;
  assert.equal(
    JSON.stringify(hidden),
    '{"host":"db","password":"***","url":"***","lockTimeout":"1m","tables":["a","b"],"restoreConnection":{"user":"root","password":"***"}}',
  );
  assert.equal((hidden.password as unknown as Secret).reveal(), "from the environment");
  assert.equal(hidden.url, written.url);
  assert.deepEqual(findDatastoreDriver("postgresql").optionsSchema.parse(hidden), parsed);
});
