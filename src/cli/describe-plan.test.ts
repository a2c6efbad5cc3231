import assert from "node:assert/strict";
import { test } from "node:test";
import { findConfirmedName } from "./describe-plan.ts";

test("P5 F61 what is typed is the name of what is replaced or made, and never that of where it comes from", () => {
  const backup = { job: "nightly" };
  const name = (...datastores: { datastore: string; to: string | null }[]): string => findConfirmedName({ datastores, backup });
  assert.equal(name({ datastore: "live", to: null }), "live");
  assert.equal(name({ datastore: "live", to: "lab" }), "lab");
  assert.equal(name({ datastore: "live", to: "database:old" }), "old");
  assert.equal(name({ datastore: "live", to: null }, { datastore: "files", to: null }), "nightly");
});
