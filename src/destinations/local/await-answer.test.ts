import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import { localDestination } from "./local-destination.ts";

test("F19 a place whose file system does not answer is told as such, and given up", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "answer-"));
  const path = process.env["PATH"];
  t.after(() => {
    process.env["PATH"] = path;
    rmSync(directory, { recursive: true });
  });
  await using destination = await localDestination.configure({ path: join(directory, "place") }).open({ name: "nas" });
  const never = new AbortController().signal;
  await destination.initialize("init", never);
  const id = await destination.identify(never);
  assert.match(id, /^\w+/);
  // As `stat` does below a hard mount whose server has gone.
  writeFileSync(join(directory, "stat"), "#!/bin/sh\nexec sleep 600\n", { mode: 0o755 });
  process.env["PATH"] = `${directory}${delimiter}${path}`;
  await assert.rejects(destination.identify(never), {
    code: "destination-missing",
    message: /nas.*place.* does not answer within 10s/,
    hint: /findmnt/,
  });
  await assert.rejects(destination.identify(AbortSignal.timeout(50)), { code: "cancelled" });
  process.env["PATH"] = path;
  assert.equal(await destination.identify(never), id);
});
