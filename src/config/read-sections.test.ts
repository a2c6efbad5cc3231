import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { makeStrict } from "./read-sections.ts";

test("F67 unknown options are refused although a driver's own schema would drop them, and its other checks stay", () => {
  const schema = makeStrict(z.object({ path: z.string() }).refine(({ path }) => path !== "/", "not the root"));
  assert.ok(schema.safeParse({ path: "/a" }).success);
  assert.equal(schema.safeParse({ path: "/a", pth: "/b" }).success, false);
  assert.equal(schema.safeParse({ path: "/" }).success, false);
});
